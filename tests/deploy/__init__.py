"""Deployment: health, versions, schedules and manifests."""
