"""Monitors that the processor helps: the guest runs at its own rings, below VMX root or an SVM host."""
