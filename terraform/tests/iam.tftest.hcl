# Who may do what.

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

run "each_function_has_a_role_of_its_own" {
  command = apply

  assert {
    condition     = keys(aws_iam_role.function) == ["api", "sweep", "worker"] && length(distinct([for role in aws_iam_role.function : role.name])) == 3
    error_message = "One role a function."
  }

  assert {
    condition     = alltrue([for role in aws_iam_role.function : jsondecode(role.assume_role_policy).Statement == [{ Action = "sts:AssumeRole", Effect = "Allow", Principal = { Service = "lambda.amazonaws.com" } }]])
    error_message = "Only Lambda takes a function's role."
  }

  assert {
    condition = alltrue(flatten([for policy in aws_iam_role_policy.function : [
      for statement in jsondecode(policy.policy).Statement : !contains(statement.Resource, "*") || statement.Sid == "Tracing"
    ]]))
    error_message = "Resources are named, but for X-Ray, which has none."
  }

  assert {
    condition = alltrue(flatten([for policy in concat(values(aws_iam_role_policy.function), [aws_iam_policy.n8n], aws_iam_role_policy.schedule) : [
      for statement in jsondecode(policy.policy).Statement : [for action in statement.Action : !strcontains(action, "*")]
    ]]))
    error_message = "Actions are named."
  }

  assert {
    condition     = jsondecode(aws_iam_policy.n8n.policy).Statement == [{ Sid = "SendJobs", Effect = "Allow", Action = ["sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:SendMessage"], Resource = [aws_sqs_queue.jobs.arn] }]
    error_message = "n8n can send jobs and read the queue's attributes."
  }

  assert {
    condition     = !contains(flatten([for statement in jsondecode(aws_iam_role_policy.function["api"].policy).Statement : statement.Action]), "sqs:ReceiveMessage")
    error_message = "Only the worker receives jobs."
  }

  assert {
    condition = (
      one([for statement in jsondecode(aws_iam_role_policy.function["sweep"].policy).Statement : statement.Resource if contains(statement.Action, "dynamodb:Query")])
      == ["${aws_dynamodb_table.ledger.arn}/index/attention"]
      && alltrue(flatten([for statement in jsondecode(aws_iam_role_policy.function["sweep"].policy).Statement : [for action in statement.Action : !startswith(action, "sqs:")]]))
    )
    error_message = "The sweep asks the index, and has nothing to do with queues."
  }
}

run "in_a_vpc_lambda_makes_interfaces_and_the_code_cannot" {
  command = apply

  variables {
    vpc = { id = "vpc-1", private_subnet_ids = ["subnet-1", "subnet-2"] }
  }

  assert {
    condition = alltrue([for role, policy in aws_iam_role_policy.function :
      one([for statement in jsondecode(policy.policy).Statement : statement if statement.Sid == "VpcNotForTheCode"])
      == {
        Sid       = "VpcNotForTheCode"
        Effect    = "Deny"
        Action    = one([for statement in jsondecode(policy.policy).Statement : statement.Action if statement.Sid == "Vpc"])
        Resource  = ["*"]
        Condition = { ArnEquals = { "lambda:SourceFunctionArn" = ["arn:aws:lambda:eu-west-1:123456789012:function:mcp-batch-${role}"] } }
      }
    ])
    error_message = "What Lambda needs for a VPC is denied to the function's code."
  }
}

run "a_key_of_ones_own_is_the_only_one_they_use" {
  command = apply

  variables {
    kms_key = { arn = "arn:aws:kms:eu-west-1:123456789012:key/mine" }
  }

  assert {
    condition = alltrue([for policy in concat(values(aws_iam_role_policy.function), [aws_iam_policy.n8n]) :
      one([for statement in jsondecode(policy.policy).Statement : statement if statement.Sid == "OwnKey"])
      == { Sid = "OwnKey", Effect = "Allow", Action = ["kms:Decrypt", "kms:GenerateDataKey"], Resource = ["arn:aws:kms:eu-west-1:123456789012:key/mine"] }
    ])
    error_message = "kms_key"
  }
}
