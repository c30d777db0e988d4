#!/usr/bin/env python3
"""Asks a loopback DynamoDB what AWS's documentation says of the real one, as far as the ledger goes by it.

    scripts/ministack run -- scripts/dynamodb/rules.py ministack
    scripts/moto run -- scripts/dynamodb/rules.py moto

Each rule is answered `as AWS` or not, and each answer is the one written down here (and in docs/testing.md), or the
script fails: then the stand-in has changed, or never did what we thought.
"""

import json
import os
import sys
import threading
import urllib.error
import urllib.request
import uuid

ENDPOINT = os.environ["MCP_BATCH_TEST_AWS_ENDPOINT"]
CREDENTIAL = "AWS4-HMAC-SHA256 Credential=test/20261129/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0"
TABLE = f"rules-{uuid.uuid4()}"
INVALID = "ValidationException"

# What a stand-in is known to do otherwise than AWS.
KNOWN = {
    "ministack": set(),
    "moto": {
        "a_transaction_that_is_sent_again_under_its_token_is_carried_out_once",
        "a_token_with_another_transaction_is_refused",
        "a_transaction_has_4_mb_at_most",
        "an_item_has_400_kb_at_most",
        "a_query_of_an_unknown_index_is_refused",
        "numbers_lose_what_says_nothing",
        "a_39th_digit_is_refused",
        "write_units_are_told",
    },
}
RULES = []


def rule(function):
    RULES.append(function)
    return function


def ask(operation, **body):
    """The answer, or the error with its bare code."""
    request = urllib.request.Request(
        ENDPOINT,
        data=json.dumps(body).encode(),
        headers={
            "X-Amz-Target": f"DynamoDB_20120810.{operation}",
            "Content-Type": "application/x-amz-json-1.0",
            "Authorization": CREDENTIAL,
        },
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        told = json.loads(error.read() or b"{}")
        return told | {"code": str(told.get("__type", error.code)).rpartition("#")[2]}


def code(operation, **body):
    return ask(operation, **body).get("code")


def key(name):
    return {"pk": {"S": name}}


def put(name, **attributes):
    return ask("PutItem", TableName=TABLE, Item=key(name) | attributes)


def get(name):
    return ask("GetItem", TableName=TABLE, Key=key(name), ConsistentRead=True).get("Item")


def update(name, expression, **more):
    return ask("UpdateItem", TableName=TABLE, Key=key(name), UpdateExpression=expression, **more)


def adding(name, **more):
    """An action that adds one to `n`."""
    change = {"UpdateExpression": "ADD n :one", "ExpressionAttributeValues": {":one": {"N": "1"}}}
    return {"Update": {"TableName": TABLE, "Key": key(name)} | change | more}


def refused(name, **more):
    """An action that an item which is there refuses."""
    condition = {"ConditionExpression": "attribute_not_exists(pk)"}
    return {"Put": {"TableName": TABLE, "Item": key(name)} | condition | more}


@rule
def a_refused_write_hands_back_the_item():
    put("a", n={"N": "7"})
    body = refused("a", ReturnValuesOnConditionCheckFailure="ALL_OLD")["Put"]
    answer = ask("PutItem", **body)
    return answer.get("code") == "ConditionalCheckFailedException" and answer.get("Item", {}).get("n") == {"N": "7"}


@rule
def a_refused_transaction_writes_nothing_and_says_which_action_was_refused():
    put("a", n={"N": "7"})
    answer = ask("TransactWriteItems", TransactItems=[adding("b"), refused("a")])
    codes = [reason.get("Code") for reason in answer.get("CancellationReasons", [])]
    return codes == ["None", "ConditionalCheckFailed"] and get("b") is None


@rule
def a_refused_action_hands_back_its_item():
    put("a", n={"N": "7"})
    action = refused("a", ReturnValuesOnConditionCheckFailure="ALL_OLD")
    answer = ask("TransactWriteItems", TransactItems=[adding("b"), action])
    return answer.get("CancellationReasons", [{}])[-1].get("Item", {}).get("n") == {"N": "7"}


@rule
def a_refused_transaction_undoes_nothing_that_others_wrote():
    put("a")
    is_over = threading.Event()

    def be_refused():
        while not is_over.is_set():
            ask("TransactWriteItems", TransactItems=[adding("b"), refused("a")])

    threads = [threading.Thread(target=be_refused) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(100):
        update("count", "ADD n :one", ExpressionAttributeValues={":one": {"N": "1"}})
    is_over.set()
    for thread in threads:
        thread.join()
    return get("count")["n"] == {"N": "100"}


@rule
def a_transaction_that_is_sent_again_under_its_token_is_carried_out_once():
    for _ in range(2):
        ask("TransactWriteItems", ClientRequestToken="once", TransactItems=[adding("once")])
    return get("once")["n"] == {"N": "1"}


@rule
def a_token_with_another_transaction_is_refused():
    ask("TransactWriteItems", ClientRequestToken="other", TransactItems=[adding("c")])
    told = code("TransactWriteItems", ClientRequestToken="other", TransactItems=[adding("d")])
    return told == "IdempotentParameterMismatchException"


@rule
def two_actions_on_one_item_are_refused():
    return code("TransactWriteItems", TransactItems=[adding("e"), adding("e")]) == INVALID and get("e") is None


@rule
def a_transaction_has_100_actions_at_most():
    actions = [adding(f"many-{n}") for n in range(101)]
    return code("TransactWriteItems", TransactItems=actions) == INVALID and get("many-0") is None


@rule
def a_transaction_has_4_mb_at_most():
    large = {"text": {"S": "x" * 390_000}}
    actions = [{"Put": {"TableName": TABLE, "Item": key(f"large-{n}") | large}} for n in range(12)]
    return code("TransactWriteItems", TransactItems=actions) == INVALID and get("large-0") is None


@rule
def an_item_has_400_kb_at_most():
    too_large, fits = put("large", t={"S": "x" * 409_600}), put("fits", t={"S": "x" * 409_000})
    return too_large.get("code") == INVALID and "code" not in fits


@rule
def no_update_makes_an_item_larger():
    put("grows", text={"S": "x" * 300_000})
    grown = update("grows", "SET more = :more", ExpressionAttributeValues={":more": {"S": "x" * 200_000}})
    return grown.get("code") == INVALID and "more" not in get("grows")


@rule
def a_read_has_100_keys_at_most_and_none_twice():
    keys = [key(str(n)) for n in range(101)]
    asked = lambda keys: code("BatchGetItem", RequestItems={TABLE: {"Keys": keys}})
    return asked(keys) == INVALID and asked([key("a"), key("a")]) == INVALID


@rule
def a_key_is_neither_empty_nor_longer_than_2048_bytes():
    return put("").get("code") == INVALID and put("k" * 2049).get("code") == INVALID


@rule
def an_index_holds_what_has_both_its_attributes_and_no_more_of_it_than_its_keys():
    put("in", attention={"S": "x"}, attention_ms={"N": "1"}, n={"N": "7"})
    put("half", attention={"S": "x"}, n={"N": "7"})
    found = query()
    return [item.keys() for item in found.get("Items", [])] == [{"pk", "attention", "attention_ms"}]


@rule
def an_index_is_not_read_consistently():
    return query(ConsistentRead=True).get("code") == INVALID


@rule
def a_query_of_an_unknown_index_is_refused():
    return query(IndexName="none").get("code") == INVALID


def query(**more):
    named = {"TableName": TABLE, "IndexName": "attention"} | more
    values = {":x": {"S": "x"}}
    return ask("Query", KeyConditionExpression="attention = :x", ExpressionAttributeValues=values, **named)


@rule
def numbers_keep_38_digits():
    digits = "12345678901234567890123456789012345678"
    put("number", n={"N": digits})
    return get("number")["n"] == {"N": digits}


@rule
def numbers_lose_what_says_nothing():
    put("number", n={"N": "1.50"})
    return get("number")["n"] == {"N": "1.5"}


@rule
def a_39th_digit_is_refused():
    return put("number", n={"N": "1" * 39}).get("code") == INVALID


@rule
def an_attribute_that_is_not_there_compares_to_nothing():
    put("f")
    values = {":one": {"N": "1"}}
    compared = [
        update("f", "SET n = :one", ConditionExpression=f"n {operator} :one", ExpressionAttributeValues=values)
        for operator in ("<", ">", "=")
    ]
    return all(answer.get("code") == "ConditionalCheckFailedException" for answer in compared)


@rule
def what_is_added_to_begins_at_nothing():
    update("g", "ADD n :one, s :set", ExpressionAttributeValues={":one": {"N": "1"}, ":set": {"SS": ["a"]}})
    return get("g") == key("g") | {"n": {"N": "1"}, "s": {"SS": ["a"]}}


@rule
def what_is_removed_need_not_be_there_and_the_last_of_a_set_takes_it_along():
    put("h", s={"SS": ["a"]})
    update("h", "REMOVE n DELETE s :set", ExpressionAttributeValues={":set": {"SS": ["a"]}})
    return get("h") == key("h")


@rule
def a_set_has_a_number_once_and_its_size_is_how_many_it_has():
    put("numbers")
    for n in ("7", "7", "8"):
        update("numbers", "ADD s :s", ExpressionAttributeValues={":s": {"NS": [n]}})
    asked = {"ConditionExpression": "size(s) = :n"}
    codes = [
        update("numbers", "SET n = :n", ExpressionAttributeValues={":n": {"N": n}}, **asked).get("code")
        for n in ("2", "3")
    ]
    return codes == [None, "ConditionalCheckFailedException"] and sorted(get("numbers")["s"]["NS"]) == ["7", "8"]


@rule
def a_set_is_replaced_beside_what_is_added_to():
    put("beside", s={"NS": ["7", "8"]}, n={"N": "3"})
    values = {":s": {"NS": ["9"]}, ":two": {"N": "2"}, ":one": {"N": "1"}}
    update("beside", "SET s = :s ADD n :two, m :one", ExpressionAttributeValues=values)
    return get("beside") == key("beside") | {"s": {"NS": ["9"]}, "n": {"N": "5"}, "m": {"N": "1"}}


@rule
def a_set_of_texts_contains_whole_texts_only():
    put("texts", s={"SS": ["a#1?0", "b"]})
    asked = {"ConditionExpression": "contains(s, :t)"}
    codes = [
        update("texts", "SET t = :t", ExpressionAttributeValues={":t": {"S": text}}, **asked).get("code")
        for text in ("a#1?0", "a#1", "b#")
    ]
    return codes == [None, "ConditionalCheckFailedException", "ConditionalCheckFailedException"]


@rule
def values_and_names_that_nothing_uses_are_refused():
    value = update("i", "REMOVE n", ExpressionAttributeValues={":one": {"N": "1"}})
    name = update("i", "REMOVE n", ExpressionAttributeNames={"#n": "n"})
    return value.get("code") == INVALID and name.get("code") == INVALID


@rule
def reserved_words_are_refused():
    return update("i", "REMOVE owner").get("code") == INVALID


@rule
def write_units_are_told():
    answer = ask("PutItem", TableName=TABLE, Item=key("j") | {"t": {"S": "x" * 2_000}}, ReturnConsumedCapacity="TOTAL")
    return answer.get("ConsumedCapacity", {}).get("CapacityUnits") == 2


def create_table():
    attributes = [("pk", "S"), ("attention", "S"), ("attention_ms", "N")]
    schema = lambda *names: [{"AttributeName": name, "KeyType": kind} for name, kind in zip(names, ("HASH", "RANGE"))]
    index = {"IndexName": "attention", "KeySchema": schema("attention", "attention_ms")}
    created = ask(
        "CreateTable",
        TableName=TABLE,
        KeySchema=schema("pk"),
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": kind} for name, kind in attributes],
        GlobalSecondaryIndexes=[index | {"Projection": {"ProjectionType": "KEYS_ONLY"}}],
        BillingMode="PAY_PER_REQUEST",
    )
    if "code" in created:
        sys.exit(f"no table: {created}")


def main(stand_in):
    create_table()
    differing = {check.__name__ for check in RULES if not check()}
    for check in RULES:
        print(f"{'as AWS' if check.__name__ not in differing else 'DIFFERS'}  {check.__name__.replace('_', ' ')}")
    if differing != KNOWN[stand_in]:
        sys.exit(f"{stand_in}: expected other answers to {sorted(differing ^ KNOWN[stand_in])}")


if __name__ == "__main__":
    main(*sys.argv[1:])
