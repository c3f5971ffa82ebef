"""What the machine is and offers: devices, environment, files, progress. No runtime is imported at module level."""
