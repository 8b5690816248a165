/**
 * enum llama_ftype of llama.h (llama.cpp v0.5.0) by llama.cpp's names in lower case; types that it only knows as
 * mixtures (`q4_k_s`) also by the tensor type that they consist of.
 */
export const llamaFileTypes = {
  f32: 0,
  f16: 1,
  bf16: 32,
  q4_0: 2,
  q4_1: 3,
  q5_0: 8,
  q5_1: 9,
  q8_0: 7,
  q2_k: 10,
  q2_k_s: 21,
  q3_k: 11,
  q3_k_s: 11,
  q3_k_m: 12,
  q3_k_l: 13,
  q4_k: 14,
  q4_k_s: 14,
  q4_k_m: 15,
  q5_k: 16,
  q5_k_s: 16,
  q5_k_m: 17,
  q6_k: 18,
  iq4_nl: 25,
  iq4_xs: 30,
  tq1_0: 36,
  tq2_0: 37,
  mxfp4: 38,
  q1_0: 40,
  q2_0: 41,
} as const;
