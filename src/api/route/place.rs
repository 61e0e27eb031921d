//! Which operations a path comes to, in a dialect's table and under its mounts.

use percent_encoding::percent_decode_str;
use warp::http::{HeaderValue, Method};

use crate::api::route::{Dialect, Route};

/// What stands in a path for the names of a template.
pub(super) type Parameters = Vec<(&'static str, String)>;

/// What a path comes to under a table.
pub(super) struct Place<D: 'static> {
    /// Operations at this path, one for each method, with what stands in the path for each one's names.
    pub(super) routes: Vec<(&'static Route<D>, Parameters)>,
}

impl<D> Place<D> {
    pub(super) fn take(&mut self, method: &Method) -> Option<(&'static Route<D>, Parameters)> {
        let method = if method == Method::HEAD { &Method::GET } else { method };
        let at = self.routes.iter().position(|(route, _)| route.method == *method)?;
        Some(self.routes.swap_remove(at))
    }

    pub(super) fn allow(&self) -> HeaderValue {
        let mut methods: Vec<&str> = self.routes.iter().map(|(route, _)| route.method.as_str()).collect();
        if methods.contains(&"GET") {
            methods.push("HEAD");
        }
        methods.push("OPTIONS");
        HeaderValue::from_str(&methods.join(", ")).unwrap_or(HeaderValue::from_static("OPTIONS"))
    }
}

/// `None`: not under this dialect's mounts. Escapes are undone before the path is split, as the dialects'
/// originals do, so an escaped slash is a slash.
pub(super) fn find<D: Dialect>(path: &str) -> Option<Place<D>> {
    let path = percent_decode_str(path).decode_utf8().ok()?;
    let below = |mount: &&str| path.strip_prefix(*mount).filter(|rest| rest.starts_with('/'));
    let is_claimed = |rest: &str| D::CLAIMS.iter().any(|claim| is_in(rest, claim));
    let own = |mount: &&str| below(mount).filter(|rest| !mount.is_empty() || is_claimed(rest));
    let rest = D::MOUNTS.iter().find_map(own)?;
    let rest = rest.strip_suffix('/').filter(|_| D::TRIMS_SLASH).unwrap_or(rest);
    let fitting = D::routes().iter().filter_map(|route| Some((route, fit(route.template, rest)?)));
    Some(Place { routes: fitting.collect() })
}

/// Whether it is this folder, or something below it.
fn is_in(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Most templates do not fit, which nearly always shows in their first letters: nothing is kept or looked for before.
fn fit(template: &'static str, path: &str) -> Option<Parameters> {
    let alike =
        template.bytes().zip(path.bytes()).take_while(|(wanted, given)| wanted == given && *wanted != b'{').count();
    if !matches!(template.as_bytes().get(alike), None | Some(b'{')) {
        return None;
    }
    let name = |wanted: &'static str| wanted.strip_prefix('{').and_then(|wanted| wanted.strip_suffix('}'));
    let pairs = || template.split('/').zip(path.split('/'));
    let fits = |(wanted, segment): (&'static str, &str)| match name(wanted) {
        Some(_) => !segment.is_empty(),
        None => wanted == segment,
    };
    let is_as_long = template.split('/').count() == path.split('/').count();
    let named = |(wanted, segment): (&'static str, &str)| Some((name(wanted)?, segment.to_owned()));
    (is_as_long && pairs().all(fits)).then(|| pairs().filter_map(named).collect())
}

#[cfg(test)]
mod tests {
    use warp::reply::Response;

    use super::*;
    use crate::api::route::{Handler, Refusal};

    struct Toy;

    static ROUTES: [Route<Toy>; 3] = [
        route(Method::GET, "/v1/things/{id}"),
        route(Method::PUT, "/v1/things/{id}"),
        route(Method::POST, "/v1/things"),
    ];

    const fn route(method: Method, template: &'static str) -> Route<Toy> {
        Route { method, template, handler: Handler::Open(|_| Box::pin(async { Response::default() })) }
    }

    impl Dialect for Toy {
        const NAME: &'static str = "toy";
        const MOUNTS: &'static [&'static str] = &["/toy", ""];

        fn routes() -> &'static [Route<Self>] {
            &ROUTES
        }

        fn refuse(_: Refusal) -> Response {
            Response::default()
        }
    }

    fn found(path: &str) -> (usize, Vec<String>) {
        let place = find::<Toy>(path).expect("a path of the toy");
        let count = place.routes.len();
        let parameters = place.routes.into_iter().last().map(|(_, parameters)| parameters).unwrap_or_default();
        (count, parameters.into_iter().map(|(_, value)| value).collect())
    }

    #[test]
    fn a_path_finds_its_operations_under_every_mount() {
        assert_eq!(found("/v1/things/a%20%C3%BC"), (2, vec!["a ü".into()]));
        assert_eq!(found("/toy/v1/things/x"), (2, vec!["x".into()]));
        assert_eq!(found("/v1/things"), (1, vec![]));
        for nothing in ["/", "/v1/things/", "/v1/things/a/", "/v1/things/a%2Fb", "/toyv1/things", "/toy/toy/v1/things"]
        {
            assert_eq!(found(nothing).0, 0, "{nothing}");
        }
    }

    #[test]
    fn what_is_not_text_is_nobodys_path() {
        assert!(find::<Toy>("/v1/things/%ff").is_none());
    }

    #[test]
    fn head_is_get_and_the_methods_are_listed() {
        let mut place = find::<Toy>("/v1/things/x").unwrap();
        assert_eq!(place.allow(), "GET, PUT, HEAD, OPTIONS");
        assert_eq!(place.take(&Method::HEAD).unwrap().0.method, Method::GET);
        assert!(place.take(&Method::POST).is_none());
    }
}
