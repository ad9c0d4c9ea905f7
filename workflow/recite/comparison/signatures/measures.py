"""What is taken by layer, in words, in the order in which it is shown."""

MEASURES = {
    "ablation": "ablated heads, drop in hits",
    "ablation_log_probability": "ablated heads, drop in log-probability",
    "ablation_memorized": "ablated heads, drop in hits, memorized rows",
    "ablation_memorized_log_probability": "ablated heads, drop in log-probability, memorized rows",
    "ablation_unmemorized": "ablated heads, drop in hits, unmemorized rows",
    "ablation_unmemorized_log_probability": "ablated heads, drop in log-probability, unmemorized rows",
    "recovery": "similarity regained under noise",
    "lens": "probability of the true token",
}
