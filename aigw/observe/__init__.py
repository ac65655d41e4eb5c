"""What is told about requests: Prometheus metrics and the access log. Nothing here can hurt the request it tells of."""
