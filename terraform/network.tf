# The way from the functions to LiteLLM, to AWS and to the internet. A function outside a VPC reaches the internet by itself, but
# no internal load balancer; one inside a VPC reaches only what this file opens.

locals {
  own_vpc          = var.litellm_enabled && var.vpc == null
  functions_in_vpc = !var.litellm_public && (var.litellm_enabled || var.vpc != null)

  # Two zones: a load balancer stands in no less.
  zones = local.own_vpc ? slice(data.aws_availability_zones.available[0].names, 0, 2) : []

  # Without functions in it, the VPC needs no NAT gateway: LiteLLM's tasks have addresses of their own.
  nat_gateways    = !local.own_vpc || !local.functions_in_vpc ? 0 : { none = 0, one = 1, per_zone = 2 }[var.nat]
  tasks_in_public = local.own_vpc && local.nat_gateways == 0

  vpc_id             = local.own_vpc ? aws_vpc.this[0].id : one(var.vpc[*].id)
  private_subnet_ids = local.own_vpc ? aws_subnet.private[*].id : try(var.vpc.private_subnet_ids, [])
  public_subnet_ids  = local.own_vpc ? aws_subnet.public[*].id : try(var.vpc.public_subnet_ids, [])
  route_table_ids    = local.own_vpc ? aws_route_table.private[*].id : try(var.vpc.route_table_ids, [])
}

data "aws_availability_zones" "available" {
  count = local.own_vpc ? 1 : 0

  state = "available"
}

resource "aws_vpc" "this" {
  count = local.own_vpc ? 1 : 0

  cidr_block           = var.vpc_cidr
  enable_dns_support   = true
  enable_dns_hostnames = true
  tags                 = merge(local.tags, { Name = var.name })
}

# Taken over so that it allows nothing.
resource "aws_default_security_group" "closed" {
  count = local.own_vpc ? 1 : 0

  vpc_id = aws_vpc.this[0].id
  tags   = merge(local.tags, { Name = "${var.name}-closed" })
}

resource "aws_internet_gateway" "this" {
  count = local.own_vpc ? 1 : 0

  vpc_id = aws_vpc.this[0].id
  tags   = merge(local.tags, { Name = var.name })
}

resource "aws_subnet" "public" {
  count = length(local.zones)

  vpc_id            = aws_vpc.this[0].id
  availability_zone = local.zones[count.index]
  cidr_block        = cidrsubnet(var.vpc_cidr, 4, count.index)
  tags              = merge(local.tags, { Name = "${var.name}-public-${local.zones[count.index]}" })
}

resource "aws_subnet" "private" {
  count = length(local.zones)

  vpc_id            = aws_vpc.this[0].id
  availability_zone = local.zones[count.index]
  cidr_block        = cidrsubnet(var.vpc_cidr, 2, count.index + 1)
  tags              = merge(local.tags, { Name = "${var.name}-private-${local.zones[count.index]}" })
}

resource "aws_route_table" "public" {
  count = local.own_vpc ? 1 : 0

  vpc_id = aws_vpc.this[0].id
  tags   = merge(local.tags, { Name = "${var.name}-public" })
}

resource "aws_route" "public_internet" {
  count = local.own_vpc ? 1 : 0

  route_table_id         = aws_route_table.public[0].id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.this[0].id
}

resource "aws_route_table_association" "public" {
  count = length(local.zones)

  subnet_id      = aws_subnet.public[count.index].id
  route_table_id = aws_route_table.public[0].id
}

resource "aws_eip" "nat" {
  count = local.nat_gateways

  domain = "vpc"
  tags   = merge(local.tags, { Name = "${var.name}-nat-${local.zones[count.index]}" })
}

resource "aws_nat_gateway" "this" {
  count = local.nat_gateways

  allocation_id = aws_eip.nat[count.index].id
  subnet_id     = aws_subnet.public[count.index].id
  tags          = merge(local.tags, { Name = "${var.name}-${local.zones[count.index]}" })

  depends_on = [aws_internet_gateway.this]
}

resource "aws_route_table" "private" {
  count = length(local.zones)

  vpc_id = aws_vpc.this[0].id
  tags   = merge(local.tags, { Name = "${var.name}-private-${local.zones[count.index]}" })
}

resource "aws_route" "private_internet" {
  count = local.nat_gateways == 0 ? 0 : length(local.zones)

  route_table_id         = aws_route_table.private[count.index].id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.this[min(count.index, local.nat_gateways - 1)].id
}

resource "aws_route_table_association" "private" {
  count = length(local.zones)

  subnet_id      = aws_subnet.private[count.index].id
  route_table_id = aws_route_table.private[count.index].id
}

# Ways to AWS that need no NAT gateway. These two cost nothing.
resource "aws_vpc_endpoint" "gateway" {
  for_each = local.functions_in_vpc && (local.own_vpc || length(local.route_table_ids) > 0) ? toset(["dynamodb", "s3"]) : []

  vpc_id            = local.vpc_id
  service_name      = "com.amazonaws.${local.region}.${each.key}"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = local.route_table_ids
  tags              = merge(local.tags, { Name = "${var.name}-${each.key}" })
}

resource "aws_vpc_endpoint" "interface" {
  for_each = local.functions_in_vpc && var.vpc_endpoints ? toset(["secretsmanager", "sqs"]) : []

  vpc_id              = local.vpc_id
  service_name        = "com.amazonaws.${local.region}.${each.key}"
  vpc_endpoint_type   = "Interface"
  subnet_ids          = local.private_subnet_ids
  security_group_ids  = [aws_security_group.endpoints[0].id]
  private_dns_enabled = true
  tags                = merge(local.tags, { Name = "${var.name}-${each.key}" })
}

resource "aws_security_group" "functions" {
  count = local.functions_in_vpc ? 1 : 0

  name        = "${var.name}-functions"
  description = "The functions of ${var.name}: nobody calls them here."
  vpc_id      = local.vpc_id
  tags        = merge(local.tags, { Name = "${var.name}-functions" })
}

# Callbacks and MCP servers have any address and port.
resource "aws_vpc_security_group_egress_rule" "functions" {
  count = local.functions_in_vpc ? 1 : 0

  security_group_id = aws_security_group.functions[0].id
  description       = "To LiteLLM, AWS, n8n and MCP servers."
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 1
  to_port           = 65535
  tags              = local.tags
}

resource "aws_security_group" "endpoints" {
  count = local.functions_in_vpc && var.vpc_endpoints ? 1 : 0

  name        = "${var.name}-endpoints"
  description = "The endpoints of AWS services for ${var.name}."
  vpc_id      = local.vpc_id
  tags        = merge(local.tags, { Name = "${var.name}-endpoints" })
}

resource "aws_vpc_security_group_ingress_rule" "endpoints" {
  for_each = { for who, group in {
    functions = aws_security_group.functions
    litellm   = aws_security_group.litellm
  } : who => group[0].id if length(group) > 0 && local.functions_in_vpc && var.vpc_endpoints }

  security_group_id            = aws_security_group.endpoints[0].id
  description                  = "From ${each.key}."
  referenced_security_group_id = each.value
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
  tags                         = local.tags
}
