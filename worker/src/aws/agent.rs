//! Who asks AWS: one header, made once. The SDK makes two of its own anew for each request, a hundred
//! allocations a job, and signs the longer one.

use aws_config::SdkConfig;
use aws_runtime::user_agent::UserAgentInterceptor;
use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        interceptors::{
            Intercept,
            context::{
                BeforeSerializationInterceptorContextRef, BeforeTransmitInterceptorContextMut,
            },
            disable_interceptor, dyn_dispatch_hint,
        },
        runtime_components::RuntimeComponents,
    },
};
use aws_smithy_types::config_bag::ConfigBag;
use aws_types::app_name::AppName;
use hyper::header::{HeaderValue, USER_AGENT};

/// The header, with the name of the application as AWS's own clients tell it (`AWS_SDK_UA_APP_ID`).
#[derive(Clone, Debug)]
pub(super) struct Agent(HeaderValue);

impl Agent {
    pub(super) fn of(config: &SdkConfig) -> Self {
        Self::named(config.app_name().map(AppName::as_ref))
    }

    pub(super) fn named(app: Option<&str>) -> Self {
        let own = concat!("mcp-batch/", env!("CARGO_PKG_VERSION"));
        let named = app.and_then(|app| HeaderValue::from_str(&format!("{own} app/{app}")).ok());
        Self(named.unwrap_or(HeaderValue::from_static(own)))
    }

    pub(super) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

#[dyn_dispatch_hint]
impl Intercept for Agent {
    fn name(&self) -> &'static str {
        "Agent"
    }

    fn read_before_execution(
        &self,
        _: &BeforeSerializationInterceptorContextRef<'_>,
        request: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let why = "the header is made once";
        request.interceptor_state().store_put(disable_interceptor::<UserAgentInterceptor>(why));
        Ok(())
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        context.request_mut().headers_mut().try_insert(USER_AGENT.as_str(), self.header())?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use aws_config::{BehaviorVersion, Region};
    use aws_credential_types::Credentials;
    use mcp_batch_testkit::Receiver;

    use super::*;
    use crate::aws::clients::Clients;

    #[test]
    fn who_asks_is_told_with_the_name_of_the_application() {
        let own = concat!("mcp-batch/", env!("CARGO_PKG_VERSION"));
        assert_eq!(Agent::named(None).header(), own);
        assert_eq!(Agent::named(Some("jobs-worker")).header(), format!("{own} app/jobs-worker"));
        assert_eq!(Agent::named(Some("no\nheader")).header(), own);
    }

    #[tokio::test]
    async fn a_request_of_the_sdk_bears_it_once_and_none_of_the_sdks_own() {
        let server = Receiver::start().await;
        let loader = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::from_static("eu-central-1"))
            .credentials_provider(Credentials::new("id", "secret", None, None, "here"))
            .endpoint_url(server.url(""));
        let clients = Clients::load(loader).await;
        // What is answered is no table's list.
        let _ = clients.dynamodb.list_tables().send().await;
        let [request, ..] = &server.deliveries()[..] else { panic!("expected a request") };
        let own = concat!("mcp-batch/", env!("CARGO_PKG_VERSION"));
        assert_eq!(request.header("user-agent"), Some(own));
        assert_eq!(request.header("x-amz-user-agent"), None);
    }
}
