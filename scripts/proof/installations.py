"""What must hold of every resource of two installations in one account, looked up in the state that `terraform test` tells."""

import json

import rig

# What an account has once by its name, and the attribute that is the name.
NAMED = {
    "aws_apigatewayv2_api": "name",
    "aws_apigatewayv2_domain_name": "domain_name",
    "aws_appautoscaling_policy": "name",
    "aws_appautoscaling_target": "resource_id",
    "aws_cloudwatch_dashboard": "dashboard_name",
    "aws_cloudwatch_log_group": "name",
    "aws_cloudwatch_metric_alarm": "alarm_name",
    "aws_cloudwatch_query_definition": "name",
    "aws_db_instance": "identifier",
    "aws_db_parameter_group": "name",
    "aws_db_subnet_group": "name",
    "aws_dynamodb_table": "name",
    "aws_ecs_cluster": "name",
    "aws_ecs_service": "name",
    "aws_ecs_task_definition": "family",
    "aws_iam_policy": "name",
    "aws_iam_role": "name",
    "aws_lambda_function": "function_name",
    "aws_lb": "name",
    "aws_lb_target_group": "name",
    "aws_s3_bucket": "bucket",
    "aws_scheduler_schedule": "name",
    "aws_scheduler_schedule_group": "name",
    "aws_secretsmanager_secret": "name",
    "aws_security_group": "name",
    "aws_sns_topic": "name",
    "aws_sqs_queue": "name",
}
# What has an id that AWS makes, or belongs to one of those.
NAMELESS = {
    "aws_apigatewayv2_api_mapping", "aws_apigatewayv2_authorizer", "aws_apigatewayv2_integration", "aws_apigatewayv2_route",
    "aws_apigatewayv2_stage", "aws_default_security_group", "aws_eip", "aws_iam_role_policy", "aws_internet_gateway", "aws_lambda_alias",
    "aws_lambda_event_source_mapping", "aws_lambda_function_event_invoke_config", "aws_lambda_permission",
    "aws_lambda_provisioned_concurrency_config", "aws_lb_listener", "aws_nat_gateway", "aws_route", "aws_route_table",
    "aws_route_table_association", "aws_s3_bucket_lifecycle_configuration", "aws_s3_bucket_ownership_controls", "aws_s3_bucket_policy",
    "aws_s3_bucket_public_access_block", "aws_s3_bucket_server_side_encryption_configuration", "aws_s3_bucket_versioning",
    "aws_s3_object", "aws_secretsmanager_secret_rotation", "aws_secretsmanager_secret_version", "aws_sns_topic_policy",
    "aws_sns_topic_subscription", "aws_sqs_queue_policy", "aws_sqs_queue_redrive_allow_policy", "aws_sqs_queue_redrive_policy",
    "aws_subnet", "aws_vpc", "aws_vpc_endpoint", "aws_vpc_security_group_egress_rule", "aws_vpc_security_group_ingress_rule",
}
# Statements for which AWS knows no resource.
OF_ALL = {"EcrLogin", "Traces", "Tracing", "Vpc"}
SECRETS = "that-nobody-must-see"


def check(told):
    """`told`: what `terraform test -json -verbose` of tests/two.tftest.hcl prints."""
    events = [json.loads(line) for line in told.splitlines() if line.startswith("{")]
    state = next((event["test_state"] for event in events if event["type"] == "test_state"), None)
    rig.expect(state, f"the test told no state:\n{told}")
    rig.expect(SECRETS not in json.dumps(state), "a secret's value is in the state")
    installations = {
        module["address"].split('"')[1]: [one for one in module["resources"] if one["mode"] == "managed"]
        for module in state["root_module"]["child_modules"]
    }
    rig.expect(len(installations) == 2, f"expected two installations, found {sorted(installations)}")
    one, two = (names(name, resources) for name, resources in installations.items())
    rig.expect(not one & two, f"both installations have {sorted(one & two)}")
    for resource in sum(installations.values(), []):
        check_tags(resource)
        check_rights(resource)


def names(installation, resources):
    """Type and name of what an account has once; each name tells whose it is."""
    found = set()
    for resource in resources:
        kind = resource["type"]
        if kind in NAMELESS:
            continue
        rig.expect(kind in NAMED, f"{resource['address']}: add {kind} to NAMED, or to NAMELESS, of {__file__}")
        name = resource["values"][NAMED[kind]]
        is_its_own = name.startswith(installation) or f"/{installation}" in name
        rig.expect(is_its_own, f"{resource['address']}: its name does not tell the installation: {name}")
        found.add((kind, name))
    return found


def check_tags(resource):
    if "tags" in resource["values"]:
        tags = resource["values"]["tags"] or {}
        rig.expect(tags.keys() >= {"Application", "Installation"}, f"{resource['address']} has the tags {tags}")


def check_rights(resource):
    if resource["type"] not in {"aws_iam_policy", "aws_iam_role_policy"}:
        return
    for statement in json.loads(resource["values"]["policy"])["Statement"]:
        is_open = "*" in statement["Resource"] and statement["Sid"] not in OF_ALL
        is_open = is_open or any("*" in action for action in statement["Action"])
        rig.expect(statement["Effect"] == "Deny" or not is_open, f"{resource['address']} allows too much: {statement}")
