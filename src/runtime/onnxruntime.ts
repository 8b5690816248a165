// The native library decides once, when it loads, whether it collects telemetry: the switch has to come before it.
import './telemetry-off.js';

export { InferenceSession, Tensor } from 'onnxruntime-node';
