"""Stand-in clouds with real hosts. Nothing here imports the product, and the product imports nothing of this."""
