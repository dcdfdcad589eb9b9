"""Web service: a durable run streamed to a browser, and a form that answers it."""
