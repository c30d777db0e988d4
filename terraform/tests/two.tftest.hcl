# Two installations side by side. What must hold of all their resources — no name twice, tags, no open rights — is looked up in the
# state by scripts/e2e/terraform-static.

mock_provider "aws" {
  source = "./tests/aws"
}

run "two_installations_share_an_account" {
  command = apply

  module {
    source = "./tests/two"
  }
}
