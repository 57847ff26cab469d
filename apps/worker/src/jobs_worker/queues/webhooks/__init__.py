"""Deliver webhooks."""
