"""The parts of tools/mutants and tools/soak."""
