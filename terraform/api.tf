# The HTTP face: API Gateway's HTTP API in front of the function's api role.

locals {
  api = {
    enabled     = var.api_enabled
    description = "Takes jobs and tells of them by HTTP."
    # API Gateway waits no longer.
    timeout_s            = 30
    memory_mb            = var.api_memory_mb
    reserved_concurrency = -1

    # API Gateway answers a browser's first question by itself; the function looks at the rest.
    environment = {
      MCP_BATCH_API_CORS_ORIGINS = length(var.api_cors_origins) == 0 ? null : join(" ", var.api_cors_origins)
      MCP_BATCH_API_TOKENS       = length(local.api_callers) == 0 ? null : join(" ", local.api_callers)
    }
  }

  # Whose tokens stand for a key.
  api_callers = [for caller in flatten(var.api_jwt[*].callers) : join(":", [
    caller.name, coalesce(caller.namespace, var.namespace), join("+", caller.scopes), "${caller.claim}=${caller.value}",
  ])]

  # The function knows the rest: API Gateway lets through only what has a meaning there. What is open to all says nothing
  # of jobs.
  api_open_routes = ["GET /healthz", "GET /readyz", "GET /openapi.json"]
  api_routes = [
    "POST /v1/jobs", "GET /v1/jobs/{id}", "DELETE /v1/jobs/{id}",
    "GET /v1/batches/{id}", "DELETE /v1/batches/{id}", "GET /v1/batches/{id}/results", "POST /v1/batches/{id}/close",
    "GET /v1/held", "POST /v1/held/{proxy+}",
    "GET /v1/tools", "POST /v1/tools/{proxy+}", "POST /v1/call",
    "POST /mcp",
  ]
  api_asks_for_jwt = { for route in concat(local.api_open_routes, local.api_routes) :
    route => var.api_jwt != null && !contains(local.api_open_routes, route)
  }
}

resource "aws_apigatewayv2_api" "this" {
  count = var.api_enabled ? 1 : 0

  name          = var.name
  description   = "The HTTP face of ${var.name}."
  protocol_type = "HTTP"

  # Then the name of one's own is the only way in.
  disable_execute_api_endpoint = var.api_domain != null

  dynamic "cors_configuration" {
    for_each = length(var.api_cors_origins) == 0 ? [] : [var.api_cors_origins]

    content {
      allow_origins = cors_configuration.value
      allow_methods = ["GET", "POST", "DELETE"]
      allow_headers = concat(
        ["authorization", "content-type", "idempotency-key", "mcp-method", "mcp-name", "mcp-protocol-version"],
        [for jwt in var.api_jwt[*] : lower(jwt.header)],
      )
      max_age = 3600
    }
  }

  tags = local.tags
}

resource "aws_apigatewayv2_integration" "function" {
  count = var.api_enabled ? 1 : 0

  api_id                 = aws_apigatewayv2_api.this[0].id
  integration_type       = "AWS_PROXY"
  integration_uri        = aws_lambda_alias.prod["api"].invoke_arn
  payload_format_version = "2.0"
  timeout_milliseconds   = 30000
}

resource "aws_apigatewayv2_authorizer" "jwt" {
  count = var.api_enabled && var.api_jwt != null ? 1 : 0

  api_id           = aws_apigatewayv2_api.this[0].id
  name             = "${var.name}-jwt"
  authorizer_type  = "JWT"
  identity_sources = ["$request.header.${var.api_jwt.header}"]

  jwt_configuration {
    issuer   = var.api_jwt.issuer
    audience = var.api_jwt.audience
  }
}

resource "aws_apigatewayv2_route" "this" {
  for_each = var.api_enabled ? toset(concat(local.api_open_routes, local.api_routes)) : []

  api_id    = aws_apigatewayv2_api.this[0].id
  route_key = each.key
  target    = "integrations/${aws_apigatewayv2_integration.function[0].id}"

  authorization_type   = local.api_asks_for_jwt[each.key] ? "JWT" : "NONE"
  authorizer_id        = local.api_asks_for_jwt[each.key] ? aws_apigatewayv2_authorizer.jwt[0].id : null
  authorization_scopes = local.api_asks_for_jwt[each.key] ? var.api_jwt.scopes : null
}

resource "aws_cloudwatch_log_group" "api_access" {
  count = var.api_enabled ? 1 : 0

  name              = "/aws/apigateway/${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = local.kms_key_arn
  tags              = local.tags
}

resource "aws_apigatewayv2_stage" "default" {
  count = var.api_enabled ? 1 : 0

  api_id      = aws_apigatewayv2_api.this[0].id
  name        = "$default"
  auto_deploy = true

  default_route_settings {
    throttling_rate_limit    = var.api_throttle_rate
    throttling_burst_limit   = var.api_throttle_burst
    detailed_metrics_enabled = true
  }

  access_log_settings {
    destination_arn = aws_cloudwatch_log_group.api_access[0].arn

    # No query string, no header, no body: nothing that could be a secret.
    format = jsonencode({
      requestId        = "$context.requestId"
      time             = "$context.requestTime"
      ip               = "$context.identity.sourceIp"
      method           = "$context.httpMethod"
      route            = "$context.routeKey"
      status           = "$context.status"
      responseBytes    = "$context.responseLength"
      latencyMs        = "$context.responseLatency"
      functionMs       = "$context.integrationLatency"
      integrationError = "$context.integrationErrorMessage"
    })
  }

  tags = local.tags
}

resource "aws_lambda_permission" "api" {
  count = var.api_enabled ? 1 : 0

  statement_id  = "ApiGateway"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.this["api"].function_name
  qualifier     = aws_lambda_alias.prod["api"].name
  principal     = "apigateway.amazonaws.com"
  source_arn    = "${aws_apigatewayv2_api.this[0].execution_arn}/*"
}

resource "aws_lambda_provisioned_concurrency_config" "api" {
  count = var.api_enabled && var.api_provisioned_concurrency > 0 ? 1 : 0

  function_name                     = aws_lambda_function.this["api"].function_name
  qualifier                         = aws_lambda_alias.prod["api"].name
  provisioned_concurrent_executions = var.api_provisioned_concurrency
}

resource "aws_apigatewayv2_domain_name" "this" {
  count = var.api_enabled && var.api_domain != null ? 1 : 0

  domain_name = var.api_domain.name

  domain_name_configuration {
    certificate_arn = var.api_domain.certificate_arn
    endpoint_type   = "REGIONAL"
    security_policy = "TLS_1_2"
  }

  tags = local.tags

  lifecycle {
    precondition {
      condition     = split(":", var.api_domain.certificate_arn)[3] == local.region
      error_message = "api_domain.certificate_arn: API Gateway takes certificates of its own region; write one that ACM has in ${local.region}."
    }
  }
}

resource "aws_apigatewayv2_api_mapping" "this" {
  count = var.api_enabled && var.api_domain != null ? 1 : 0

  api_id      = aws_apigatewayv2_api.this[0].id
  domain_name = aws_apigatewayv2_domain_name.this[0].id
  stage       = aws_apigatewayv2_stage.default[0].id
}
