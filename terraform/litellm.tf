# LiteLLM on ECS Fargate behind a load balancer, internal unless asked otherwise.

locals {
  litellm_count = var.litellm_enabled ? 1 : 0
  litellm_name  = "${var.name}-litellm"
  litellm_port  = 4000

  has_certificate = var.litellm_certificate_arn != null
  listener_port   = local.has_certificate ? 443 : 80

  litellm_url = !var.litellm_enabled ? null : (
    local.has_certificate ? "https://${var.litellm_host}/v1" : "http://${aws_lb.litellm[0].dns_name}/v1"
  )
  llm_url = var.llm_url != null ? var.llm_url : local.litellm_url

  litellm_secret_names = distinct(concat(["LITELLM_MASTER_KEY"], var.litellm_secret_names, local.database_secret_names))

  # The prices are those of its version, its log has no prompts, and nobody administers it from outside.
  litellm_environment = merge(local.litellm_settings, local.database_environment)
  litellm_settings = !var.litellm_enabled ? {} : {
    AWS_REGION                       = local.region
    DISABLE_ADMIN_UI                 = "True"
    LITELLM_CONFIG_BUCKET_NAME       = aws_s3_bucket.this["files"].id
    LITELLM_CONFIG_BUCKET_OBJECT_KEY = aws_s3_object.file["litellm-config"].key
    LITELLM_LOCAL_BLOG_POSTS         = "True"
    LITELLM_LOCAL_MODEL_COST_MAP     = "True"
    LITELLM_LOCAL_POLICY_TEMPLATES   = "true"
    LITELLM_LOG                      = "ERROR"
    LITELLM_TELEMETRY                = "False"
    NO_DOCS                          = "True"
  }

  # The same names, which the names of secrets must not be; a test compares them.
  litellm_environment_names = concat(
    [
      "AWS_REGION", "DISABLE_ADMIN_UI", "LITELLM_CONFIG_BUCKET_NAME", "LITELLM_CONFIG_BUCKET_OBJECT_KEY",
      "LITELLM_LOCAL_BLOG_POSTS", "LITELLM_LOCAL_MODEL_COST_MAP", "LITELLM_LOCAL_POLICY_TEMPLATES", "LITELLM_LOG", "LITELLM_TELEMETRY",
      "NO_DOCS",
    ],
    var.litellm_database_enabled ? ["DATABASE_HOST", "DATABASE_NAME", "DATABASE_PORT", "DATABASE_SSLMODE", "DATABASE_URL", "DATABASE_USER"] : [],
  )

  # A first start brings the database's schema up to date.
  litellm_start_s = local.database_count == 1 ? 300 : 120
}

resource "aws_cloudwatch_log_group" "litellm" {
  count = local.litellm_count

  name              = "/ecs/${local.litellm_name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = local.kms_key_arn
  tags              = local.tags
}

resource "aws_ecs_cluster" "litellm" {
  count = local.litellm_count

  name = local.litellm_name
  tags = local.tags
}

resource "aws_ecs_task_definition" "litellm" {
  count = local.litellm_count

  family                   = local.litellm_name
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.litellm_cpu
  memory                   = var.litellm_memory_mb
  execution_role_arn       = aws_iam_role.litellm_start[0].arn
  task_role_arn            = aws_iam_role.litellm[0].arn

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.architecture == "arm64" ? "ARM64" : "X86_64"
  }

  container_definitions = jsonencode([{
    name      = "litellm"
    image     = var.litellm_image
    essential = true
    command   = ["--port", tostring(local.litellm_port), "--num_workers", tostring(var.litellm_workers)]

    portMappings = [{ containerPort = local.litellm_port, hostPort = local.litellm_port, protocol = "tcp" }]

    environment = [for name, value in local.litellm_environment : { name = name, value = value }]

    secrets = [for name in local.litellm_secret_names : {
      name      = name
      valueFrom = "${aws_secretsmanager_secret.litellm[0].arn}:${name}::"
    }]

    healthCheck = {
      command = [
        "CMD-SHELL",
        "python3 -c \"import urllib.request; urllib.request.urlopen('http://127.0.0.1:${local.litellm_port}/health/liveliness', timeout=5)\"",
      ]
      interval    = 15
      timeout     = 10
      retries     = 3
      startPeriod = local.litellm_start_s
    }

    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.litellm[0].name
        awslogs-region        = local.region
        awslogs-stream-prefix = "litellm"
      }
    }
  }])

  tags = local.tags
}

resource "aws_ecs_service" "litellm" {
  count = local.litellm_count

  name            = local.litellm_name
  cluster         = aws_ecs_cluster.litellm[0].id
  task_definition = aws_ecs_task_definition.litellm[0].arn
  desired_count   = var.litellm_tasks_min
  launch_type     = "FARGATE"

  health_check_grace_period_seconds = local.litellm_start_s
  propagate_tags                    = "SERVICE"

  # A configuration that does not start leaves the old tasks in place.
  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = local.tasks_in_public ? local.public_subnet_ids : local.private_subnet_ids
    security_groups  = [aws_security_group.litellm[0].id]
    assign_public_ip = local.tasks_in_public
  }

  load_balancer {
    target_group_arn = aws_lb_target_group.litellm[0].arn
    container_name   = "litellm"
    container_port   = local.litellm_port
  }

  tags = local.tags

  lifecycle {
    # Autoscaling's, which keeps it between litellm_tasks_min and litellm_tasks_max.
    ignore_changes = [desired_count]
  }

  depends_on = [
    aws_iam_role_policy.litellm, aws_iam_role_policy.litellm_start, aws_lb_listener.litellm,
    aws_secretsmanager_secret_version.litellm,
  ]
}

resource "aws_appautoscaling_target" "litellm" {
  count = var.litellm_enabled && var.litellm_autoscaling ? 1 : 0

  service_namespace  = "ecs"
  resource_id        = "service/${aws_ecs_cluster.litellm[0].name}/${aws_ecs_service.litellm[0].name}"
  scalable_dimension = "ecs:service:DesiredCount"
  min_capacity       = var.litellm_tasks_min
  max_capacity       = var.litellm_tasks_max
  tags               = local.tags
}

resource "aws_appautoscaling_policy" "litellm" {
  count = length(aws_appautoscaling_target.litellm)

  name               = "${local.litellm_name}-cpu"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.litellm[0].service_namespace
  resource_id        = aws_appautoscaling_target.litellm[0].resource_id
  scalable_dimension = aws_appautoscaling_target.litellm[0].scalable_dimension

  target_tracking_scaling_policy_configuration {
    target_value       = 60
    scale_in_cooldown  = 300
    scale_out_cooldown = 60

    predefined_metric_specification {
      predefined_metric_type = "ECSServiceAverageCPUUtilization"
    }
  }
}
