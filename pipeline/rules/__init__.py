"""Pure rules: old state, new data and the time in; what to do out."""
