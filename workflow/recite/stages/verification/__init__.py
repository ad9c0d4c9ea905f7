"""Verification: fails unless the finished tables show what is known of planted texts and of sizes."""
