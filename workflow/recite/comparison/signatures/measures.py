"""What is taken by layer, in words, in the order in which it is shown."""

MEASURES = {
    "ablation": "ablated heads, drop in hits",
    "ablation_log_probability": "ablated heads, drop in log-probability",
    "recovery": "similarity regained under noise",
    "lens": "probability of the true token",
}
