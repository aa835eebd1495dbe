"""What code is checked with: stand-ins for a GPU, and inputs for every primitive (``cases``).

A test of a step of yours takes the strict device as its backend, where implicit transfers, waits inside a
capture and reads of freed memory fail as they would on a GPU:

    strict = mg.get_backend("strict")
    x = strict.array([[1.0, 2.0]])      # in
    strict.to_host(step(x))             # and out; strict.counters says what it cost

``cuda_on_cpu.HostModule(source)`` compiles CUDA C for the CPU and finds races. Test data, fixtures and
oracles are in tests/; soaks and injected faults in bench/soak/.
"""
