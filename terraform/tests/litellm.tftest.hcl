# LiteLLM, and the ways from the functions to it, to AWS and to the internet.

mock_provider "aws" {
  source = "./tests/aws"
}

variables {
  lambda_zip = "versions.tf"
  # Terraform 1.11 wants to hear of ephemeral variables in a test, though they have defaults.
  secret_values         = {}
  litellm_secret_values = {}
  litellm_enabled       = true
}

run "an_internal_litellm_has_the_functions_beside_it" {
  command = apply

  assert {
    condition     = aws_lb.litellm[0].internal && toset(aws_lb.litellm[0].subnets) == toset(aws_subnet.private[*].id)
    error_message = "The load balancer is internal."
  }

  assert {
    condition     = alltrue([for function in aws_lambda_function.this : toset(function.vpc_config[0].subnet_ids) == toset(aws_subnet.private[*].id)])
    error_message = "All functions stand in the private subnets."
  }

  assert {
    condition = (
      aws_vpc_security_group_egress_rule.functions[0].security_group_id == aws_security_group.functions[0].id
      && aws_vpc_security_group_egress_rule.functions[0].from_port <= aws_lb_listener.litellm[0].port
      && aws_vpc_security_group_egress_rule.functions[0].to_port >= aws_lb_listener.litellm[0].port
      && aws_vpc_security_group_ingress_rule.load_balancer_functions[0].security_group_id == aws_security_group.load_balancer[0].id
      && aws_vpc_security_group_ingress_rule.load_balancer_functions[0].referenced_security_group_id == aws_security_group.functions[0].id
      && aws_vpc_security_group_ingress_rule.load_balancer_functions[0].from_port == aws_lb_listener.litellm[0].port
      && length(aws_vpc_security_group_ingress_rule.load_balancer_internet) == 0
    )
    error_message = "From the functions to the load balancer, and from nobody else."
  }

  assert {
    condition = (
      aws_vpc_security_group_egress_rule.load_balancer[0].referenced_security_group_id == aws_security_group.litellm[0].id
      && aws_vpc_security_group_ingress_rule.litellm[0].referenced_security_group_id == aws_security_group.load_balancer[0].id
      && aws_vpc_security_group_ingress_rule.litellm[0].from_port == aws_lb_target_group.litellm[0].port
    )
    error_message = "From the load balancer to LiteLLM, and from nobody else."
  }

  assert {
    condition = (
      length(aws_nat_gateway.this) == 1 && aws_nat_gateway.this[0].subnet_id == aws_subnet.public[0].id
      && alltrue([for route in aws_route.private_internet : route.destination_cidr_block == "0.0.0.0/0" && route.nat_gateway_id == aws_nat_gateway.this[0].id])
      && toset(aws_route.private_internet[*].route_table_id) == toset(aws_route_table_association.private[*].route_table_id)
      && toset(aws_route_table_association.private[*].subnet_id) == toset(aws_subnet.private[*].id)
    )
    error_message = "From the private subnets to the NAT gateway, which stands in a public one."
  }

  assert {
    condition = (
      aws_route.public_internet[0].gateway_id == aws_internet_gateway.this[0].id
      && aws_route_table_association.public[0].route_table_id == aws_route.public_internet[0].route_table_id
      && aws_route_table_association.public[0].subnet_id == aws_subnet.public[0].id
    )
    error_message = "From the public subnets to the internet."
  }

  assert {
    condition = (
      keys(aws_vpc_endpoint.gateway) == ["dynamodb", "s3"] && keys(aws_vpc_endpoint.interface) == ["secretsmanager", "sqs"]
      && alltrue([for endpoint in aws_vpc_endpoint.gateway : toset(endpoint.route_table_ids) == toset(aws_route_table.private[*].id)])
      && alltrue([for endpoint in aws_vpc_endpoint.interface : endpoint.private_dns_enabled && endpoint.security_group_ids == toset([aws_security_group.endpoints[0].id])])
      && aws_vpc_security_group_ingress_rule.endpoints["functions"].referenced_security_group_id == aws_security_group.functions[0].id
    )
    error_message = "DynamoDB, S3, SQS and Secrets Manager have endpoints that the functions reach."
  }

  assert {
    condition     = aws_lambda_function.this["worker"].environment[0].variables.MCP_BATCH_LLM_URL == "http://${aws_lb.litellm[0].dns_name}/v1" && output.llm_url == "http://${aws_lb.litellm[0].dns_name}/v1"
    error_message = "The functions call the load balancer."
  }

  assert {
    condition     = !aws_ecs_service.litellm[0].network_configuration[0].assign_public_ip && toset(aws_ecs_service.litellm[0].network_configuration[0].subnets) == toset(aws_subnet.private[*].id)
    error_message = "LiteLLM's tasks stand in the private subnets."
  }

  assert {
    condition = (
      { for secret in jsondecode(aws_ecs_task_definition.litellm[0].container_definitions)[0].secrets : secret.name => secret.valueFrom }
      == {
        ANTHROPIC_API_KEY  = "${aws_secretsmanager_secret.litellm[0].arn}:ANTHROPIC_API_KEY::"
        LITELLM_MASTER_KEY = "${aws_secretsmanager_secret.litellm[0].arn}:LITELLM_MASTER_KEY::"
        OPENAI_API_KEY     = "${aws_secretsmanager_secret.litellm[0].arn}:OPENAI_API_KEY::"
      }
    )
    error_message = "Its keys come from its secret."
  }

  assert {
    condition = contains(jsondecode(aws_ecs_task_definition.litellm[0].container_definitions)[0].environment, {
      name = "LITELLM_CONFIG_BUCKET_OBJECT_KEY", value = "litellm-config/${filesha256("../litellm/litellm-config.yaml")}.yaml"
    })
    error_message = "Its configuration: the name is its hash, so that a change starts new tasks."
  }

  assert {
    condition     = aws_lb_target_group.litellm[0].health_check[0].path == "/health/readiness"
    error_message = "The health check costs nothing."
  }

  assert {
    condition     = aws_appautoscaling_target.litellm[0].min_capacity == 2 && aws_appautoscaling_target.litellm[0].max_capacity == 4
    error_message = "Two to four tasks."
  }

  assert {
    condition     = aws_lb.litellm[0].enable_deletion_protection && aws_lb.litellm[0].idle_timeout >= aws_lambda_function.this["worker"].timeout
    error_message = "The load balancer waits for as long as a batch may."
  }

  assert {
    condition     = [for statement in jsondecode(aws_iam_role_policy.litellm[0].policy).Statement : [statement.Action, statement.Resource]] == [[["s3:GetObject"], ["${aws_s3_bucket.this["files"].arn}/litellm-config/*"]]]
    error_message = "LiteLLM may read its configuration, and nothing else."
  }
}

run "as_asked" {
  command = apply

  variables {
    litellm_image                 = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/mirror/litellm@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
    litellm_config_file           = ".checkov.yaml"
    litellm_secret_names          = ["OPENAI_API_KEY"]
    litellm_secret_values         = { LITELLM_MASTER_KEY = "sk-test", OPENAI_API_KEY = "sk-test" }
    litellm_secret_values_version = 2
    litellm_cpu                   = 2048
    litellm_memory_mb             = 4096
    litellm_workers               = 4
    litellm_tasks_min             = 3
    litellm_tasks_max             = 5
    vpc_cidr                      = "10.9.0.0/16"
    nat                           = "per_zone"
    vpc_endpoints                 = false
  }

  assert {
    condition = (
      aws_ecs_task_definition.litellm[0].cpu == "2048" && aws_ecs_task_definition.litellm[0].memory == "4096"
      && jsondecode(aws_ecs_task_definition.litellm[0].container_definitions)[0].command == ["--port", "4000", "--num_workers", "4"]
      && startswith(jsondecode(aws_ecs_task_definition.litellm[0].container_definitions)[0].image, "123456789012.dkr.ecr")
    )
    error_message = "litellm_image, litellm_cpu, litellm_memory_mb, litellm_workers"
  }

  assert {
    condition     = aws_s3_object.file["litellm-config"].key == "litellm-config/${filesha256(".checkov.yaml")}.yaml"
    error_message = "litellm_config_file"
  }

  assert {
    condition     = [for secret in jsondecode(aws_ecs_task_definition.litellm[0].container_definitions)[0].secrets : secret.name] == ["LITELLM_MASTER_KEY", "OPENAI_API_KEY"]
    error_message = "litellm_secret_names"
  }

  assert {
    condition     = aws_secretsmanager_secret_version.litellm[0].secret_string_wo_version == 2
    error_message = "litellm_secret_values, litellm_secret_values_version"
  }

  assert {
    condition     = aws_appautoscaling_target.litellm[0].min_capacity == 3 && aws_appautoscaling_target.litellm[0].max_capacity == 5
    error_message = "litellm_tasks_min, litellm_tasks_max"
  }

  assert {
    condition     = aws_vpc.this[0].cidr_block == "10.9.0.0/16" && alltrue([for subnet in concat(aws_subnet.private, aws_subnet.public) : startswith(subnet.cidr_block, "10.9.")])
    error_message = "vpc_cidr"
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 2 && aws_route.private_internet[0].nat_gateway_id == aws_nat_gateway.this[0].id && aws_route.private_internet[1].nat_gateway_id == aws_nat_gateway.this[1].id
    error_message = "nat = per_zone"
  }

  assert {
    condition     = length(aws_vpc_endpoint.interface) == 0 && length(aws_security_group.endpoints) == 0
    error_message = "vpc_endpoints"
  }

  assert {
    condition = contains(
      flatten([for statement in jsondecode(aws_iam_role_policy.litellm_start[0].policy).Statement : statement.Resource]),
      "arn:aws:ecr:eu-west-1:123456789012:repository/mirror/litellm",
    )
    error_message = "An image in ECR may be fetched."
  }
}

run "without_a_nat_gateway_the_tasks_have_addresses_of_their_own" {
  command = apply

  variables {
    nat                 = "none"
    litellm_autoscaling = false
  }

  assert {
    condition     = length(aws_appautoscaling_target.litellm) == 0 && length(aws_appautoscaling_policy.litellm) == 0
    error_message = "litellm_autoscaling"
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 0 && length(aws_route.private_internet) == 0
    error_message = "nat = none"
  }

  assert {
    condition     = aws_ecs_service.litellm[0].network_configuration[0].assign_public_ip && toset(aws_ecs_service.litellm[0].network_configuration[0].subnets) == toset(aws_subnet.public[*].id)
    error_message = "LiteLLM reaches its providers by itself."
  }
}

run "a_public_litellm_leaves_the_functions_outside" {
  command = apply

  variables {
    litellm_public          = true
    litellm_certificate_arn = "arn:aws:acm:eu-west-1:123456789012:certificate/one"
    litellm_host            = "litellm.example.com"
  }

  assert {
    condition     = !aws_lb.litellm[0].internal && toset(aws_lb.litellm[0].subnets) == toset(aws_subnet.public[*].id)
    error_message = "litellm_public"
  }

  assert {
    condition     = aws_lb_listener.litellm[0].protocol == "HTTPS" && aws_lb_listener.litellm[0].port == 443 && aws_vpc_security_group_ingress_rule.load_balancer_internet[0].from_port == 443
    error_message = "litellm_certificate_arn: keys cross the internet by TLS alone."
  }

  assert {
    condition     = aws_lambda_function.this["worker"].environment[0].variables.MCP_BATCH_LLM_URL == "https://litellm.example.com/v1"
    error_message = "litellm_host"
  }

  assert {
    condition     = alltrue([for function in aws_lambda_function.this : length(function.vpc_config) == 0]) && length(aws_nat_gateway.this) == 0 && length(aws_vpc_endpoint.interface) == 0
    error_message = "The functions reach the internet by themselves."
  }
}

run "in_a_vpc_that_exists" {
  command = apply

  variables {
    vpc = {
      id                 = "vpc-1"
      private_subnet_ids = ["subnet-1", "subnet-2"]
      route_table_ids    = ["rtb-1"]
    }
  }

  assert {
    condition     = length(aws_vpc.this) == 0 && length(aws_nat_gateway.this) == 0 && output.vpc_id == "vpc-1"
    error_message = "vpc: nothing is made that exists."
  }

  assert {
    condition     = aws_lambda_function.this["worker"].vpc_config[0].subnet_ids == toset(["subnet-1", "subnet-2"]) && aws_lb.litellm[0].subnets == toset(["subnet-1", "subnet-2"])
    error_message = "vpc.private_subnet_ids"
  }

  assert {
    condition     = aws_vpc_endpoint.gateway["s3"].route_table_ids == toset(["rtb-1"])
    error_message = "vpc.route_table_ids"
  }
}

run "without" {
  command = plan

  variables {
    litellm_enabled = false
    llm_url         = "https://litellm.example.com/v1"
  }

  assert {
    condition     = length(aws_ecs_service.litellm) == 0 && length(aws_vpc.this) == 0 && length(aws_secretsmanager_secret.litellm) == 0
    error_message = "litellm_enabled"
  }
}
