"""Every file against its record, code, config and packages of today."""
