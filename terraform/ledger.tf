# The ledger: one table. Results that do not fit an item lie in a bucket (buckets.tf).

resource "aws_dynamodb_table" "ledger" {
  name         = "${var.name}-ledger"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "pk"

  deletion_protection_enabled = var.deletion_protection

  attribute {
    name = "pk"
    type = "S"
  }

  attribute {
    name = "attention"
    type = "S"
  }

  attribute {
    name = "attention_ms"
    type = "N"
  }

  # What the sweep looks after. An item is in it only while something is owed.
  global_secondary_index {
    name            = "attention"
    hash_key        = "attention"
    range_key       = "attention_ms"
    projection_type = "KEYS_ONLY"
  }

  ttl {
    attribute_name = "record_expires_s"
    enabled        = true
  }

  point_in_time_recovery {
    enabled = var.point_in_time_recovery
  }

  server_side_encryption {
    enabled     = local.has_own_key
    kms_key_arn = local.kms_key_arn
  }

  tags = local.tags
}
