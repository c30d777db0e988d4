# The HTTP face.

mock_provider "aws" {
  source = "./tests/aws"
}

variables {
  lambda_zip = "versions.tf"
  # Terraform 1.11 wants to hear of ephemeral variables in a test, though they have defaults.
  secret_values         = {}
  litellm_secret_values = {}
  llm_url               = "https://litellm.example.com/v1"
  api_enabled           = true
}

run "by_default_it_is_throttled_and_logged" {
  command = apply

  assert {
    condition     = aws_apigatewayv2_integration.function[0].payload_format_version == "2.0" && aws_apigatewayv2_integration.function[0].integration_uri == aws_lambda_alias.prod["api"].invoke_arn
    error_message = "Requests go to the alias, in payload format 2.0."
  }

  assert {
    condition     = aws_apigatewayv2_stage.default[0].default_route_settings[0].throttling_rate_limit == 50 && aws_apigatewayv2_stage.default[0].default_route_settings[0].throttling_burst_limit == 100
    error_message = "The API is throttled."
  }

  assert {
    condition     = !strcontains(aws_apigatewayv2_stage.default[0].access_log_settings[0].format, "uery") && aws_apigatewayv2_stage.default[0].access_log_settings[0].destination_arn == aws_cloudwatch_log_group.api_access[0].arn
    error_message = "Requests are logged, without what may be secret."
  }

  assert {
    condition     = contains(keys(aws_apigatewayv2_route.this), "POST /v1/jobs") && alltrue([for route in aws_apigatewayv2_route.this : route.authorization_type == "NONE"])
    error_message = "The function checks its own keys."
  }

  assert {
    condition     = length(aws_apigatewayv2_api.this[0].cors_configuration) == 0 && !aws_apigatewayv2_api.this[0].disable_execute_api_endpoint
    error_message = "No web page may call it."
  }

  assert {
    condition     = length(aws_lambda_provisioned_concurrency_config.api) == 0 && aws_lambda_function.this["api"].memory_size == 256
    error_message = "Nothing is kept warm."
  }

  assert {
    condition     = output.api_url == "https://api.execute-api.eu-west-1.amazonaws.com"
    error_message = "Its URL is told."
  }
}

run "as_asked" {
  command = apply

  variables {
    api_memory_mb               = 512
    api_throttle_rate           = 10
    api_throttle_burst          = 20
    api_provisioned_concurrency = 2
    api_cors_origins            = ["https://app.example.com"]
    api_jwt                     = { issuer = "https://login.example.com", audience = ["mcp-batch"], scopes = ["jobs"] }
    api_domain                  = { name = "jobs.example.com", certificate_arn = "arn:aws:acm:eu-west-1:123456789012:certificate/one" }
  }

  assert {
    condition     = aws_lambda_function.this["api"].memory_size == 512
    error_message = "api_memory_mb"
  }

  assert {
    condition     = aws_apigatewayv2_stage.default[0].default_route_settings[0].throttling_rate_limit == 10 && aws_apigatewayv2_stage.default[0].default_route_settings[0].throttling_burst_limit == 20
    error_message = "api_throttle_rate, api_throttle_burst"
  }

  assert {
    condition     = aws_lambda_provisioned_concurrency_config.api[0].provisioned_concurrent_executions == 2
    error_message = "api_provisioned_concurrency"
  }

  assert {
    condition = (
      aws_apigatewayv2_api.this[0].cors_configuration[0].allow_origins == toset(["https://app.example.com"])
      && contains(aws_apigatewayv2_api.this[0].cors_configuration[0].allow_headers, "x-access-token")
      && aws_lambda_function.this["api"].environment[0].variables.MCP_BATCH_API_CORS_ORIGINS == "https://app.example.com"
      && !contains(keys(aws_lambda_function.this["worker"].environment[0].variables), "MCP_BATCH_API_CORS_ORIGINS")
      && !contains(keys(aws_lambda_function.this["api"].environment[0].variables), "MCP_BATCH_API_TOKENS")
    )
    error_message = "api_cors_origins: API Gateway lets pages in, and so does the function."
  }

  assert {
    condition     = alltrue([for key, route in aws_apigatewayv2_route.this : route.authorization_type == (contains(["GET /healthz", "GET /readyz", "GET /openapi.json"], key) ? "NONE" : "JWT")])
    error_message = "api_jwt: nothing but what says nothing of jobs is open."
  }

  assert {
    condition     = alltrue([for key, route in aws_apigatewayv2_route.this : route.authorization_type == "NONE" || route.authorization_scopes == toset(["jobs"]) && route.authorizer_id == aws_apigatewayv2_authorizer.jwt[0].id])
    error_message = "api_jwt.scopes"
  }

  assert {
    condition = (
      aws_apigatewayv2_authorizer.jwt[0].identity_sources == toset(["$request.header.X-Access-Token"])
      && aws_apigatewayv2_authorizer.jwt[0].jwt_configuration[0].issuer == "https://login.example.com"
      && aws_apigatewayv2_authorizer.jwt[0].jwt_configuration[0].audience == toset(["mcp-batch"])
    )
    error_message = "api_jwt: the token stands beside the function's key, which Authorization holds."
  }

  assert {
    condition = (
      aws_apigatewayv2_domain_name.this[0].domain_name == "jobs.example.com"
      && aws_apigatewayv2_domain_name.this[0].domain_name_configuration[0].certificate_arn == "arn:aws:acm:eu-west-1:123456789012:certificate/one"
      && aws_apigatewayv2_domain_name.this[0].domain_name_configuration[0].security_policy == "TLS_1_2"
      && aws_apigatewayv2_api_mapping.this[0].api_id == aws_apigatewayv2_api.this[0].id
      && aws_apigatewayv2_api_mapping.this[0].domain_name == aws_apigatewayv2_domain_name.this[0].id
      && output.api_domain_target != null
    )
    error_message = "api_domain: the name leads to the API."
  }

  assert {
    condition     = aws_apigatewayv2_api.this[0].disable_execute_api_endpoint && output.api_url == "https://jobs.example.com"
    error_message = "api_domain"
  }
}

run "a_token_in_a_header_of_ones_choice" {
  command = plan

  variables {
    api_jwt = { issuer = "https://login.example.com", audience = ["mcp-batch"], header = "X-Id-Token" }
  }

  assert {
    condition     = aws_apigatewayv2_authorizer.jwt[0].identity_sources == toset(["$request.header.X-Id-Token"])
    error_message = "api_jwt.header"
  }
}

run "a_token_in_place_of_a_key" {
  command = plan

  variables {
    namespace = "house"
    api_jwt = {
      issuer   = "https://login.example.com"
      audience = ["mcp-batch"]
      header   = "Authorization"
      callers = [
        { name = "shop", claim = "client_id", value = "abc=", scopes = ["enqueue", "read"], namespace = "shop" },
        { name = "ops", claim = "cognito:groups", value = "[ops]", scopes = ["admin"] },
      ]
    }
  }

  assert {
    condition = (
      aws_lambda_function.this["api"].environment[0].variables.MCP_BATCH_API_TOKENS == "shop:shop:enqueue+read:client_id=abc= ops:house:admin:cognito:groups=[ops]"
      && !contains(keys(aws_lambda_function.this["worker"].environment[0].variables), "MCP_BATCH_API_TOKENS")
    )
    error_message = "api_jwt.callers"
  }
}

run "without" {
  command = plan

  variables {
    api_enabled = false
  }

  assert {
    condition     = length(aws_apigatewayv2_api.this) == 0 && output.api_url == null
    error_message = "api_enabled"
  }
}
