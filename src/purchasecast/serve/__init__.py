"""HTTP API and web page over `purchasecast.scorer`; no Spark and no Java."""
