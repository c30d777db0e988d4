# Postgres for LiteLLM's keys, budgets and spend logs: in the private subnets, reached by LiteLLM alone. Its password is write-only
# here and a secret there, so that neither plan nor state has it.

locals {
  database_count = var.litellm_enabled && var.litellm_database_enabled ? 1 : 0
  database_major = "17"
  database_port  = 5432

  # LiteLLM joins these to its DATABASE_URL, and escapes the password.
  database_environment = { for name, value in {
    DATABASE_HOST    = one(aws_db_instance.litellm[*].address)
    DATABASE_NAME    = one(aws_db_instance.litellm[*].db_name)
    DATABASE_PORT    = local.database_count == 0 ? null : tostring(local.database_port)
    DATABASE_SSLMODE = local.database_count == 0 ? null : "require"
    DATABASE_USER    = one(aws_db_instance.litellm[*].username)
  } : name => value if local.database_count == 1 }
  database_secret_names = [for _ in range(local.database_count) : "DATABASE_PASSWORD"]
}

resource "aws_db_subnet_group" "litellm" {
  count = local.database_count

  name        = local.litellm_name
  description = "Where the database of ${local.litellm_name} stands."
  subnet_ids  = local.private_subnet_ids
  tags        = local.tags
}

resource "aws_db_parameter_group" "litellm" {
  count = local.database_count

  name        = local.litellm_name
  description = "The database of ${local.litellm_name}: TLS alone."
  family      = "postgres${local.database_major}"
  tags        = local.tags

  parameter {
    name  = "rds.force_ssl"
    value = "1"
  }
}

# RDS would make it without an end of its own.
resource "aws_cloudwatch_log_group" "litellm_database" {
  count = local.database_count

  name              = "/aws/rds/instance/${local.litellm_name}/postgresql"
  retention_in_days = var.log_retention_days
  kms_key_id        = local.kms_key_arn
  tags              = local.tags
}

resource "aws_db_instance" "litellm" {
  count = local.database_count

  identifier           = local.litellm_name
  engine               = "postgres"
  engine_version       = local.database_major
  instance_class       = var.litellm_database_class
  parameter_group_name = aws_db_parameter_group.litellm[0].name

  # What LiteLLM's secret says. RDS's own secret would change every week, and LiteLLM reads its password once. Later applies need no
  # values: what is handed over is looked at when the version is another.
  db_name             = "litellm"
  username            = "litellm"
  password_wo         = lookup(var.litellm_secret_values, "DATABASE_PASSWORD", "")
  password_wo_version = var.litellm_secret_values_version

  storage_type          = "gp3"
  allocated_storage     = var.litellm_database_storage_gb
  max_allocated_storage = 5 * var.litellm_database_storage_gb
  storage_encrypted     = true
  kms_key_id            = local.kms_key_arn

  db_subnet_group_name   = aws_db_subnet_group.litellm[0].name
  vpc_security_group_ids = [aws_security_group.database[0].id]
  port                   = local.database_port
  publicly_accessible    = false
  multi_az               = var.litellm_database_multi_az

  backup_retention_period   = var.litellm_database_backup_days
  copy_tags_to_snapshot     = true
  delete_automated_backups  = !var.deletion_protection
  deletion_protection       = var.deletion_protection
  skip_final_snapshot       = !var.deletion_protection
  final_snapshot_identifier = "${local.litellm_name}-final"

  auto_minor_version_upgrade      = true
  enabled_cloudwatch_logs_exports = ["postgresql"]
  tags                            = local.tags

  depends_on = [aws_cloudwatch_log_group.litellm_database]
}

resource "aws_security_group" "database" {
  count = local.database_count

  name        = "${local.litellm_name}-database"
  description = "The database of ${local.litellm_name}."
  vpc_id      = local.vpc_id
  tags        = merge(local.tags, { Name = "${local.litellm_name}-database" })
}

resource "aws_vpc_security_group_ingress_rule" "database" {
  count = local.database_count

  security_group_id            = aws_security_group.database[0].id
  description                  = "From LiteLLM."
  referenced_security_group_id = aws_security_group.litellm[0].id
  ip_protocol                  = "tcp"
  from_port                    = local.database_port
  to_port                      = local.database_port
  tags                         = local.tags
}

resource "aws_vpc_security_group_egress_rule" "litellm_database" {
  count = local.database_count

  security_group_id            = aws_security_group.litellm[0].id
  description                  = "To its database."
  referenced_security_group_id = aws_security_group.database[0].id
  ip_protocol                  = "tcp"
  from_port                    = local.database_port
  to_port                      = local.database_port
  tags                         = local.tags
}
