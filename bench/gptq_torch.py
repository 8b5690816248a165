"""The published GPTQ procedure (Frantar et al., 2022, algorithm 1), for comparison with bench/solver.ts.

usage: gptq_torch.py FOLDER ROWS COLS BITS GROUP THREADS; reads weight.f32 and gram.f32, prints seconds and the error.
"""
import sys
import time

import numpy
import torch

folder, (rows, cols, bits, group, threads) = sys.argv[1], map(int, sys.argv[2:7])
torch.set_num_threads(threads)
load = lambda name, *shape: torch.from_numpy(numpy.fromfile(f"{folder}/{name}.f32", numpy.float32).reshape(shape))
original, gram = load("weight", rows, cols), load("gram", cols, cols)
clock = time.process_time if threads == 1 else time.perf_counter
start = clock()
W, H, levels = original.clone(), gram.clone(), 2**bits - 1
H.diagonal().add_(0.01 * H.diagonal().mean())
U = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(H)), upper=True)
Q = torch.zeros_like(W)
for first in range(0, cols, 128):
    last = min(cols, first + 128)
    block, errors, local = W[:, first:last].clone(), torch.zeros(rows, last - first), U[first:last, first:last]
    for i in range(last - first):
        if (first + i) % group == 0:
            if i > 0:
                W[:, first:last] = block
            columns = W[:, first + i : first + i + group]
            low, high = columns.amin(1).clamp(max=0), columns.amax(1).clamp(min=0)
            scale = (high - low).clamp(min=1e-9) / levels
            zero = torch.round(-low / scale)
        w, d = block[:, i], local[i, i]
        q = scale * (torch.clamp(torch.round(w / scale) + zero, 0, levels) - zero)
        error = (w - q) / d
        block[:, i:] -= error[:, None] * local[i, i:][None, :]
        Q[:, first + i], errors[:, i] = q, error
    W[:, last:] -= errors @ U[first:last, last:]
seconds = clock() - start
energy = lambda X: float(((X @ gram) * X).double().sum())
print(seconds, energy(original - Q) / energy(original))
