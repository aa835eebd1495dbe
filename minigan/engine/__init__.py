"""The engine: tensors, a table of primitives with hand-written derivatives, reverse mode, and recorded programs."""
