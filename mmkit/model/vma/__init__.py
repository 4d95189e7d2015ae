"""Virtual memory areas: an address space that behaves as the kernel's does."""
