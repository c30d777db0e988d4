# The way to LiteLLM: who may connect to whom, and the load balancer.

resource "aws_security_group" "load_balancer" {
  count = local.litellm_count

  name        = "${local.litellm_name}-load-balancer"
  description = "LiteLLM's load balancer of ${var.name}."
  vpc_id      = local.vpc_id
  tags        = merge(local.tags, { Name = "${local.litellm_name}-load-balancer" })
}

resource "aws_vpc_security_group_ingress_rule" "load_balancer_functions" {
  count = var.litellm_enabled && local.functions_in_vpc ? 1 : 0

  security_group_id            = aws_security_group.load_balancer[0].id
  description                  = "From the functions."
  referenced_security_group_id = aws_security_group.functions[0].id
  ip_protocol                  = "tcp"
  from_port                    = local.listener_port
  to_port                      = local.listener_port
  tags                         = local.tags
}

resource "aws_vpc_security_group_ingress_rule" "load_balancer_internet" {
  count = var.litellm_enabled && var.litellm_public ? 1 : 0

  security_group_id = aws_security_group.load_balancer[0].id
  description       = "From functions outside a VPC, whose addresses nobody knows."
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = local.listener_port
  to_port           = local.listener_port
  tags              = local.tags
}

resource "aws_vpc_security_group_egress_rule" "load_balancer" {
  count = local.litellm_count

  security_group_id            = aws_security_group.load_balancer[0].id
  description                  = "To LiteLLM."
  referenced_security_group_id = aws_security_group.litellm[0].id
  ip_protocol                  = "tcp"
  from_port                    = local.litellm_port
  to_port                      = local.litellm_port
  tags                         = local.tags
}

resource "aws_security_group" "litellm" {
  count = local.litellm_count

  name        = local.litellm_name
  description = "LiteLLM of ${var.name}."
  vpc_id      = local.vpc_id
  tags        = merge(local.tags, { Name = local.litellm_name })
}

resource "aws_vpc_security_group_ingress_rule" "litellm" {
  count = local.litellm_count

  security_group_id            = aws_security_group.litellm[0].id
  description                  = "From the load balancer."
  referenced_security_group_id = aws_security_group.load_balancer[0].id
  ip_protocol                  = "tcp"
  from_port                    = local.litellm_port
  to_port                      = local.litellm_port
  tags                         = local.tags
}

resource "aws_vpc_security_group_egress_rule" "litellm" {
  count = local.litellm_count

  security_group_id = aws_security_group.litellm[0].id
  description       = "To the providers, the image and AWS."
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  tags              = local.tags
}

resource "aws_lb" "litellm" {
  count = local.litellm_count

  name               = local.litellm_name
  load_balancer_type = "application"
  internal           = !var.litellm_public
  subnets            = var.litellm_public ? local.public_subnet_ids : local.private_subnet_ids
  security_groups    = [aws_security_group.load_balancer[0].id]

  # A model may think for as long as a batch may take.
  idle_timeout = max(60, var.worker_timeout_s)

  drop_invalid_header_fields = true
  enable_deletion_protection = var.deletion_protection
  tags                       = local.tags
}

resource "aws_lb_target_group" "litellm" {
  count = local.litellm_count

  name        = local.litellm_name
  vpc_id      = local.vpc_id
  target_type = "ip"
  protocol    = "HTTP"
  port        = local.litellm_port

  # Calls that are under way end first.
  deregistration_delay = max(60, var.llm_timeout_s)

  # /health would call every model, and cost money. A database that is away for a moment, by which readiness goes, is no reason to
  # replace tasks.
  health_check {
    path                = local.database_count == 1 ? "/health/liveliness" : "/health/readiness"
    matcher             = "200"
    interval            = 15
    timeout             = 10
    healthy_threshold   = 2
    unhealthy_threshold = 3
  }

  tags = local.tags
}

resource "aws_lb_listener" "litellm" {
  count = local.litellm_count

  load_balancer_arn = aws_lb.litellm[0].arn
  port              = local.listener_port
  protocol          = local.has_certificate ? "HTTPS" : "HTTP"
  certificate_arn   = var.litellm_certificate_arn
  ssl_policy        = local.has_certificate ? "ELBSecurityPolicy-TLS13-1-2-2021-06" : null

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.litellm[0].arn
  }

  tags = local.tags
}
