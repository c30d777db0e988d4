# LiteLLM's database.

mock_provider "aws" {
  source = "./tests/aws"
}

variables {
  lambda_zip      = "versions.tf"
  litellm_enabled = true
  # Terraform 1.11 wants to hear of ephemeral variables in a test, though they have defaults.
  secret_values                 = {}
  litellm_secret_names          = []
  litellm_secret_values         = { LITELLM_MASTER_KEY = "sk-test", DATABASE_PASSWORD = "pw-that-nobody-must-see" }
  litellm_secret_values_version = 1
}

run "by_default_there_is_none" {
  command = apply

  assert {
    condition     = length(aws_db_instance.litellm) == 0 && length(aws_db_subnet_group.litellm) == 0 && length(aws_security_group.database) == 0
    error_message = "A database is paid by the hour: it is for those who ask."
  }

  assert {
    condition = alltrue([for part in [
      jsondecode(aws_ecs_task_definition.litellm[0].container_definitions)[0].environment,
      jsondecode(aws_ecs_task_definition.litellm[0].container_definitions)[0].secrets,
    ] : alltrue([for entry in part : !startswith(entry.name, "DATABASE")])])
    error_message = "LiteLLM hears of none."
  }
}

run "litellm_alone_reaches_it" {
  command = apply

  variables {
    litellm_database_enabled = true
  }

  assert {
    condition = (
      !aws_db_instance.litellm[0].publicly_accessible
      && toset(aws_db_subnet_group.litellm[0].subnet_ids) == toset(aws_subnet.private[*].id)
      && aws_db_instance.litellm[0].db_subnet_group_name == aws_db_subnet_group.litellm[0].name
      && aws_db_instance.litellm[0].vpc_security_group_ids == toset([aws_security_group.database[0].id])
    )
    error_message = "It stands in the private subnets."
  }

  assert {
    condition = (
      aws_vpc_security_group_ingress_rule.database[0].security_group_id == aws_security_group.database[0].id
      && aws_vpc_security_group_ingress_rule.database[0].referenced_security_group_id == aws_security_group.litellm[0].id
      && aws_vpc_security_group_ingress_rule.database[0].from_port == aws_db_instance.litellm[0].port
      && aws_vpc_security_group_egress_rule.litellm_database[0].security_group_id == aws_security_group.litellm[0].id
      && aws_vpc_security_group_egress_rule.litellm_database[0].referenced_security_group_id == aws_security_group.database[0].id
      && aws_vpc_security_group_egress_rule.litellm_database[0].to_port == aws_db_instance.litellm[0].port
    )
    error_message = "From LiteLLM to its database, and from nobody else."
  }

  assert {
    condition = (
      aws_db_instance.litellm[0].storage_encrypted && aws_db_instance.litellm[0].deletion_protection
      && !aws_db_instance.litellm[0].skip_final_snapshot && aws_db_instance.litellm[0].backup_retention_period == 7
      && [for parameter in aws_db_parameter_group.litellm[0].parameter : [parameter.name, parameter.value]] == [["rds.force_ssl", "1"]]
    )
    error_message = "What it keeps is encrypted, backed up and guarded."
  }

  assert {
    condition     = aws_db_instance.litellm[0].password == null && aws_db_instance.litellm[0].password_wo_version == 1
    error_message = "Its password is handed over, not kept."
  }

  assert {
    condition = { for entry in jsondecode(aws_ecs_task_definition.litellm[0].container_definitions)[0].environment :
      entry.name => entry.value if startswith(entry.name, "DATABASE")
      } == {
      DATABASE_HOST    = aws_db_instance.litellm[0].address
      DATABASE_NAME    = "litellm"
      DATABASE_PORT    = "5432"
      DATABASE_SSLMODE = "require"
      DATABASE_USER    = "litellm"
    }
    error_message = "LiteLLM is told where it is, and speaks TLS."
  }

  assert {
    condition = (
      toset([for entry in jsondecode(aws_ecs_task_definition.litellm[0].container_definitions)[0].environment : entry.name])
      == setsubtract(local.litellm_environment_names, ["DATABASE_URL"])
    )
    error_message = "The names that secrets must not have are those of its environment, and the one that it makes of them."
  }

  assert {
    condition = contains(jsondecode(aws_ecs_task_definition.litellm[0].container_definitions)[0].secrets, {
      name = "DATABASE_PASSWORD", valueFrom = "${aws_secretsmanager_secret.litellm[0].arn}:DATABASE_PASSWORD::"
    })
    error_message = "The password comes from LiteLLM's secret."
  }

  assert {
    condition     = !strcontains(aws_ecs_task_definition.litellm[0].container_definitions, "pw-that-nobody-must-see")
    error_message = "It is in no definition of a task."
  }

  assert {
    condition     = aws_lb_target_group.litellm[0].health_check[0].path == "/health/liveliness" && aws_ecs_service.litellm[0].health_check_grace_period_seconds == 300
    error_message = "A database that is away for a moment replaces no tasks, and a first start has time for the schema."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["litellm-database-full"].comparison_operator == "LessThanThreshold" && aws_cloudwatch_metric_alarm.this["litellm-database-full"].dimensions.DBInstanceIdentifier == "mcp-batch-litellm"
    error_message = "A disk that fills is told."
  }

  assert {
    condition     = output.litellm_database_address == aws_db_instance.litellm[0].address
    error_message = "Its address is told."
  }
}

run "a_later_apply_needs_no_values" {
  command = plan

  variables {
    litellm_database_enabled = true
    litellm_secret_values    = {}
  }

  assert {
    condition     = aws_db_instance.litellm[0].password_wo_version == 1
    error_message = "Where the version is the same, nothing is handed over."
  }
}

run "as_asked" {
  command = apply

  variables {
    litellm_database_enabled     = true
    litellm_database_class       = "db.t4g.small"
    litellm_database_storage_gb  = 50
    litellm_database_backup_days = 14
    litellm_database_multi_az    = true
    deletion_protection          = false
    kms_key                      = { arn = "arn:aws:kms:eu-west-1:123456789012:key/mine" }
    alarms_enabled               = false
    vpc                          = { id = "vpc-1", private_subnet_ids = ["subnet-1", "subnet-2"] }
  }

  assert {
    condition = (
      aws_db_instance.litellm[0].instance_class == "db.t4g.small" && aws_db_instance.litellm[0].allocated_storage == 50
      && aws_db_instance.litellm[0].max_allocated_storage == 250 && aws_db_instance.litellm[0].backup_retention_period == 14
      && aws_db_instance.litellm[0].multi_az
    )
    error_message = "litellm_database_class, litellm_database_storage_gb, litellm_database_backup_days, litellm_database_multi_az"
  }

  assert {
    condition     = !aws_db_instance.litellm[0].deletion_protection && aws_db_instance.litellm[0].skip_final_snapshot
    error_message = "deletion_protection"
  }

  assert {
    condition     = aws_db_instance.litellm[0].kms_key_id == "arn:aws:kms:eu-west-1:123456789012:key/mine"
    error_message = "kms_key"
  }

  assert {
    condition     = length(aws_cloudwatch_metric_alarm.this) == 0
    error_message = "alarms_enabled"
  }

  assert {
    condition     = toset(aws_db_subnet_group.litellm[0].subnet_ids) == toset(["subnet-1", "subnet-2"])
    error_message = "vpc.private_subnet_ids"
  }
}
