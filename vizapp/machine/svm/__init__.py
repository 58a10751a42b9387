"""SVM, AMD's virtualization hardware, as silicon: VMRUN and #VMEXIT, the VMCB, intercepts."""
