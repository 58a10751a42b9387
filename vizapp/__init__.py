"""vizapp: teaches x86 virtualization by executing real guest machine code."""
