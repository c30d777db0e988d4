# The LLM: one that exists, or LiteLLM on Fargate, and the network it needs.

variable "llm_url" {
  description = "MCP_BATCH_LLM_URL: the base to which /chat/completions is added, such as \"https://litellm.example.com/v1\". null: the LiteLLM of this module."
  type        = string
  default     = null

  validation {
    condition     = var.llm_url == null || can(regex("^https?://[^/@\\s?#]+[^@\\s?#]*$", var.llm_url))
    error_message = "llm_url: write a URL with its scheme and without key, query or spaces, such as \"https://litellm.example.com/v1\"; the key goes into secret_values."
  }

  validation {
    condition     = var.llm_url != null || var.litellm_enabled
    error_message = "llm_url: a function has no offline model; write the URL of an OpenAI-compatible API, or set litellm_enabled = true."
  }

  validation {
    condition     = var.llm_url == null ? true : !endswith(trimsuffix(var.llm_url, "/"), "/chat/completions")
    error_message = "llm_url: /chat/completions is added to it; write the base alone, such as \"https://litellm.example.com/v1\"."
  }
}

variable "llm_api" {
  description = "MCP_BATCH_LLM_API: \"openai\" where llm_url is an API that refuses LiteLLM's own fields, as OpenAI's does; null: \"litellm\"."
  type        = string
  default     = null

  validation {
    condition     = var.llm_api == null ? true : contains(["litellm", "openai"], var.llm_api)
    error_message = "llm_api: write \"litellm\", or \"openai\" for an API that knows OpenAI's fields alone."
  }
}

variable "llm_model" {
  description = "MCP_BATCH_LLM_MODEL: the model where neither job nor tool names one; null: the catalog's."
  type        = string
  default     = null

  validation {
    condition     = var.llm_model == null ? true : can(regex("^[!-~]{1,128}$", var.llm_model))
    error_message = "llm_model: write 1 to 128 visible ASCII characters, such as \"claude-haiku-4-5\"."
  }
}

variable "llm_timeout_s" {
  description = "MCP_BATCH_LLM_TIMEOUT_S: the longest a try may take where the tool does not say, in seconds."
  type        = number
  default     = 60
  nullable    = false

  validation {
    condition     = var.llm_timeout_s >= 1 && var.llm_timeout_s <= 890 && floor(var.llm_timeout_s) == var.llm_timeout_s
    error_message = "llm_timeout_s: write a whole number from 1 to 890 seconds; Lambda ends a function after 900."
  }
}

variable "litellm_enabled" {
  description = "Whether LiteLLM runs here, on ECS Fargate behind a load balancer."
  type        = bool
  default     = false
  nullable    = false
}

variable "litellm_config_file" {
  description = "LiteLLM's configuration, in YAML, without secrets: it names them as os.environ/NAME. null: litellm/litellm-config.yaml of this repository. A change starts new tasks by the next apply."
  type        = string
  default     = null

  validation {
    condition     = var.litellm_config_file == null ? true : try(fileexists(var.litellm_config_file), false)
    error_message = "litellm_config_file: there is no such file; write the path of a file that exists, such as \"$${path.root}/litellm-config.yaml\"."
  }

  validation {
    condition     = var.litellm_config_file == null ? true : try(yamldecode(file(var.litellm_config_file)) != null, !try(fileexists(var.litellm_config_file), false))
    error_message = "litellm_config_file: this is no YAML; write it as litellm/litellm-config.yaml is."
  }
}

variable "litellm_image" {
  description = "LiteLLM's image. Pin it by digest (…@sha256:…): a tag can be moved, and this process holds your keys."
  type        = string
  default     = "ghcr.io/berriai/litellm:v1.106.2"
  nullable    = false

  validation {
    condition     = can(regex("(:[^/:]+|@sha256:[0-9a-f]{64})$", var.litellm_image)) && !can(regex("\\s|[:-](latest|stable)$", var.litellm_image))
    error_message = "litellm_image: write an image with a version or a digest, such as \"ghcr.io/berriai/litellm:v1.106.2\"; latest changes under your feet."
  }
}

variable "litellm_secret_names" {
  description = "What LiteLLM's secret holds beside LITELLM_MASTER_KEY, each handed to it as an environment variable."
  type        = list(string)
  default     = ["ANTHROPIC_API_KEY", "OPENAI_API_KEY"]
  nullable    = false

  validation {
    condition     = alltrue([for name in var.litellm_secret_names : can(regex("^[A-Z][A-Z0-9_]*$", name))])
    error_message = "litellm_secret_names: write names of environment variables, such as \"ANTHROPIC_API_KEY\"; the values go into the secret."
  }

  validation {
    condition     = length(setintersection(var.litellm_secret_names, local.litellm_environment_names)) == 0
    error_message = "litellm_secret_names: this module sets ${join(", ", setintersection(var.litellm_secret_names, local.litellm_environment_names))} itself; leave it away."
  }
}

variable "litellm_secret_values" {
  description = <<-EOT
    What goes into LiteLLM's secret: LITELLM_MASTER_KEY, litellm_secret_names and, with litellm_database_enabled,
    DATABASE_PASSWORD. Written when litellm_secret_values_version changes.
  EOT
  type        = map(string)
  default     = {}
  nullable    = false
  ephemeral   = true
  sensitive   = true

  validation {
    condition     = alltrue([for value in values(var.litellm_secret_values) : try(trimspace(value) != "", false)])
    error_message = "litellm_secret_values: what is empty or null is no secret; write a value, or leave the name away."
  }

  # Where the secret is not written, there are none.
  validation {
    condition = (
      !var.litellm_database_enabled || length(var.litellm_secret_values) == 0
      || can(regex("^[A-Za-z0-9_-]{16,128}$", var.litellm_secret_values["DATABASE_PASSWORD"]))
    )
    error_message = "litellm_secret_values: LiteLLM's database takes its password from here; write DATABASE_PASSWORD, 16 to 128 of A-Z a-z 0-9 _ -, such as `openssl rand -hex 24` prints."
  }

  validation {
    condition     = !var.litellm_enabled || length(var.litellm_secret_values) == 0 || length(setsubtract(local.litellm_secret_names, keys(var.litellm_secret_values))) == 0
    error_message = "litellm_secret_values: ECS starts no task whose secret lacks a name that it asks for; write all of ${join(", ", local.litellm_secret_names)}, or take those that you have not out of litellm_secret_names."
  }
}

variable "litellm_secret_values_version" {
  description = "Raise it to write litellm_secret_values (anew); null: Terraform never writes the secret."
  type        = number
  default     = null

  validation {
    condition     = var.litellm_secret_values_version == null ? true : var.litellm_secret_values_version >= 1 && floor(var.litellm_secret_values_version) == var.litellm_secret_values_version
    error_message = "litellm_secret_values_version: write a whole number, at least 1, and a greater one to write the secret anew; or null, if the command line writes it."
  }
}

variable "litellm_cpu" {
  description = "CPU units of a task; 1024 are one vCPU."
  type        = number
  default     = 1024
  nullable    = false

  validation {
    condition     = contains([512, 1024, 2048, 4096, 8192, 16384], var.litellm_cpu)
    error_message = "litellm_cpu: Fargate has 512, 1024, 2048, 4096, 8192 and 16384; write one of these."
  }
}

variable "litellm_memory_mb" {
  description = "Memory of a task, in MB. A worker process of LiteLLM takes about 400."
  type        = number
  default     = 2048
  nullable    = false

  validation {
    condition     = var.litellm_memory_mb >= 1024 && var.litellm_memory_mb <= 122880 && var.litellm_memory_mb % 1024 == 0
    error_message = "litellm_memory_mb: write a multiple of 1024 that Fargate has for litellm_cpu, such as 2048 for 1024."
  }

  validation {
    condition = contains(
      lookup({ 512 = [1, 2, 3, 4], 1024 = range(2, 9), 2048 = range(4, 17), 4096 = range(8, 31), 8192 = range(16, 61, 4), 16384 = range(32, 121, 8) }, tostring(var.litellm_cpu), []),
      var.litellm_memory_mb / 1024,
    )
    error_message = "litellm_memory_mb: Fargate has for litellm_cpu 512: 1 to 4 GB, 1024: 2 to 8, 2048: 4 to 16, 4096: 8 to 30, 8192: 16 to 60 by fours, 16384: 32 to 120 by eights; write one of these in MB, such as 2048 for 1024."
  }
}

variable "litellm_workers" {
  description = "Worker processes in a task; one answers some 60 to 100 requests a second."
  type        = number
  default     = 2
  nullable    = false

  validation {
    condition     = var.litellm_workers >= 1 && var.litellm_workers <= 16 && floor(var.litellm_workers) == var.litellm_workers
    error_message = "litellm_workers: write a whole number from 1 to 16."
  }
}

variable "litellm_tasks_min" {
  description = "Tasks at least. With two, one can fail or be replaced unnoticed."
  type        = number
  default     = 2
  nullable    = false

  validation {
    condition     = var.litellm_tasks_min >= 1 && var.litellm_tasks_min <= 1000 && floor(var.litellm_tasks_min) == var.litellm_tasks_min
    error_message = "litellm_tasks_min: write a whole number from 1 to 1000."
  }
}

variable "litellm_tasks_max" {
  description = "Tasks at most: between both numbers they follow the CPU."
  type        = number
  default     = 4
  nullable    = false

  validation {
    condition     = var.litellm_tasks_max >= var.litellm_tasks_min && var.litellm_tasks_max <= 1000 && floor(var.litellm_tasks_max) == var.litellm_tasks_max
    error_message = "litellm_tasks_max: write a whole number, at least litellm_tasks_min and at most 1000."
  }
}

variable "litellm_autoscaling" {
  description = "Whether the number of tasks follows the CPU. false: it stays litellm_tasks_min as of the first apply, and people change it (`aws ecs update-service`)."
  type        = bool
  default     = true
  nullable    = false
}

variable "litellm_public" {
  description = <<-EOT
    false: an internal load balancer, and the functions in its VPC. true: one on the internet, with TLS, and the functions
    outside any VPC: no NAT gateway for them, but LiteLLM's key is all that guards it.
  EOT
  type        = bool
  default     = false
  nullable    = false
}

variable "litellm_certificate_arn" {
  description = "The ACM certificate of the load balancer; needed if litellm_public."
  type        = string
  default     = null

  validation {
    condition     = var.litellm_certificate_arn != null || !var.litellm_public
    error_message = "litellm_certificate_arn: keys must not cross the internet in the clear; write the ARN of an ACM certificate, or set litellm_public = false."
  }

  validation {
    condition     = var.litellm_certificate_arn == null ? true : can(regex("^arn:[a-z-]+:(acm:[a-z0-9-]+:[0-9]{12}:certificate|iam::[0-9]{12}:server-certificate)/", var.litellm_certificate_arn))
    error_message = "litellm_certificate_arn: write the ARN of an ACM certificate, such as \"arn:aws:acm:eu-west-1:123456789012:certificate/…\"."
  }

  validation {
    condition     = var.litellm_certificate_arn == null ? true : try(contains([local.region, ""], split(":", var.litellm_certificate_arn)[3]), true)
    error_message = "litellm_certificate_arn: load balancers take certificates of their own region; write one that ACM has in ${local.region}."
  }
}

variable "litellm_host" {
  description = "The DNS name of the certificate, which you point at the load balancer (output litellm_load_balancer_dns); needed with litellm_certificate_arn."
  type        = string
  default     = null

  validation {
    condition     = var.litellm_certificate_arn == null || var.litellm_host != null
    error_message = "litellm_host: the functions check the certificate; write the name it was issued for, such as \"litellm.example.com\"."
  }

  validation {
    condition     = var.litellm_host == null ? true : can(regex("^([A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?\\.)+[A-Za-z]{2,}$", var.litellm_host))
    error_message = "litellm_host: write a host without scheme, port or path, such as \"litellm.example.com\"."
  }
}

# The network.

variable "vpc" {
  description = <<-EOT
    An existing VPC: private subnets for functions and load balancer, public ones for a load balancer on the internet, and the
    route tables that shall know the endpoints of DynamoDB and S3. Its private subnets need a way to the internet, as
    their callbacks, MCP servers and LiteLLM's providers do. null: a small one is made where LiteLLM needs it.
  EOT
  type = object({
    id                 = string
    private_subnet_ids = list(string)
    public_subnet_ids  = optional(list(string), [])
    route_table_ids    = optional(list(string), [])
  })
  default = null

  validation {
    condition     = var.vpc == null ? true : try(length(distinct(var.vpc.private_subnet_ids)) >= 2, false)
    error_message = "vpc.private_subnet_ids: a load balancer stands in two zones; write at least two private subnets, of two zones."
  }

  validation {
    condition     = var.vpc == null || !var.litellm_public ? true : length(distinct(var.vpc.public_subnet_ids)) >= 2
    error_message = "vpc.public_subnet_ids: litellm_public needs at least two public subnets for its load balancer; write them."
  }

  validation {
    condition = var.vpc == null ? true : alltrue(concat(
      [can(regex("^vpc-[0-9a-f]+$", var.vpc.id))],
      [for id in try(concat(var.vpc.private_subnet_ids, var.vpc.public_subnet_ids), []) : can(regex("^subnet-[0-9a-f]+$", id))],
      [for id in var.vpc.route_table_ids : can(regex("^rtb-[0-9a-f]+$", id))],
    ))
    error_message = "vpc: write ids as AWS has them, no names and no null: vpc-…, subnet-…, rtb-…."
  }
}

variable "vpc_cidr" {
  description = "The addresses of the VPC that is made, with a prefix of 16 to 24."
  type        = string
  default     = "10.64.0.0/20"
  nullable    = false

  validation {
    condition     = can(cidrnetmask(var.vpc_cidr)) && can(regex("/(1[6-9]|2[0-4])$", var.vpc_cidr)) && try(cidrhost(var.vpc_cidr, 0), "") == split("/", var.vpc_cidr)[0]
    error_message = "vpc_cidr: write the first address of an IPv4 network with a prefix of 16 to 24, such as \"10.64.0.0/20\"."
  }
}

variable "nat" {
  description = <<-EOT
    How the private subnets of the VPC that is made reach n8n, MCP servers and LLM providers: "one" NAT gateway, "per_zone" one in
    each of two zones, or "none": LiteLLM's tasks then stand in the public subnets, and the functions reach nothing outside
    the VPC, which is enough where n8n and the MCP servers are in it, or reached by a peering of yours.
  EOT
  type        = string
  default     = "one"
  nullable    = false

  validation {
    condition     = contains(["one", "per_zone", "none"], var.nat)
    error_message = "nat: write \"one\", \"per_zone\" or \"none\"."
  }
}

variable "vpc_endpoints" {
  description = <<-EOT
    Whether the VPC gets endpoints of SQS and Secrets Manager, by the hour, beside those of DynamoDB and S3, which
    cost nothing. Set it to false where the VPC has them.
  EOT
  type        = bool
  default     = true
  nullable    = false

  validation {
    condition     = var.vpc_endpoints || var.nat != "none" || var.vpc != null
    error_message = "vpc_endpoints: without a NAT gateway the functions reach SQS and Secrets Manager by endpoints alone; write true, or nat = \"one\"."
  }
}
