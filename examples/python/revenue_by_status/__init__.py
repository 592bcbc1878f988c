"""Keeps the shop's revenue by order status in Redis, exactly, from its change events in Kafka."""
