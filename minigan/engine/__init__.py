"""The engine: tensors, primitives with hand-written derivatives, reverse mode, and recorded programs."""
