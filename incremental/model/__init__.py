"""What has weights: attention, heads, proxies."""
