"""What tools/validate_dataset, tools/audit_dataset and tools/blind_reading share."""
