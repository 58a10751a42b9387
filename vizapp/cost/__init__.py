"""What things cost: processor profiles, path lengths and the ledger."""
