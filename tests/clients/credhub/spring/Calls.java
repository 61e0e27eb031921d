import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.springframework.credhub.configuration.CredHubTemplateFactory;
import org.springframework.credhub.core.CredHubOperations;
import org.springframework.credhub.core.CredHubProperties;
import org.springframework.credhub.support.ClientOptions;
import org.springframework.credhub.support.CredentialDetails;
import org.springframework.credhub.support.CredentialName;
import org.springframework.credhub.support.SimpleCredentialName;
import org.springframework.credhub.support.certificate.CertificateCredentialDetails;
import org.springframework.credhub.support.utils.JsonUtils;
import org.springframework.security.oauth2.client.AuthorizedClientServiceOAuth2AuthorizedClientManager;
import org.springframework.security.oauth2.client.InMemoryOAuth2AuthorizedClientService;
import org.springframework.security.oauth2.client.registration.ClientRegistration;
import org.springframework.security.oauth2.client.registration.InMemoryClientRegistrationRepository;
import org.springframework.security.oauth2.core.AuthorizationGrantType;
import org.springframework.web.client.HttpStatusCodeException;
import org.springframework.web.client.RestTemplate;

/**
 * Calls PLAN: every call of Spring CredHub, unchanged, against the server of the plan.
 *
 * <p>The plan is a JSON file: where the server is, whom to trust, the callers, and values that are to be set. Prints one line
 * of JSON for each call: by whom, its name, the statuses that came back, and what the library returned or what it threw.
 */
public final class Calls {
    /** The library's own, so that values are written as it reads them. */
    private static final ObjectMapper JSON = JsonUtils.buildObjectMapper();

    final JsonNode plan;
    final JsonNode who;
    final CredHubOperations credhub;
    private final String by;
    private final List<Integer> statuses = new ArrayList<>();

    private Calls(JsonNode plan, String by) {
        this.plan = plan;
        this.by = by;
        this.who = plan.get("callers").get(by);
        this.credhub = who.has("certificate") ? Wire.mutual(plan, who) : withToken();
        // The template that the library sends everything through; what it does is not changed.
        credhub.doWithRest(rest -> {
            ((RestTemplate) rest).getInterceptors().add((request, body, execution) -> {
                var answer = execution.execute(request, body);
                statuses.add(answer.getStatusCode().value());
                return answer;
            });
            return null;
        });
    }

    private CredHubOperations withToken() {
        Wire.trust(plan);
        var registration = ClientRegistration.withRegistrationId("uaa")
            .clientId(who.get("client").asText())
            .clientSecret(who.get("secret").asText())
            .authorizationGrantType(AuthorizationGrantType.CLIENT_CREDENTIALS)
            .tokenUri(plan.get("token_url").asText())
            .build();
        var registrations = new InMemoryClientRegistrationRepository(registration);
        var clients = new InMemoryOAuth2AuthorizedClientService(registrations);
        var manager = new AuthorizedClientServiceOAuth2AuthorizedClientManager(registrations, clients);
        var properties = properties(plan);
        properties.getOauth2().setRegistrationId("uaa");
        return new CredHubTemplateFactory().credHubTemplate(properties, options(), registrations, manager);
    }

    static CredHubProperties properties(JsonNode plan) {
        var properties = new CredHubProperties();
        properties.setUrl(plan.get("url").asText());
        properties.setOauth2(new CredHubProperties.OAuth2());
        return properties;
    }

    static ClientOptions options() {
        return new ClientOptions(Duration.ofSeconds(10), Duration.ofSeconds(30), null);
    }

    CredentialName at(String name) {
        return new SimpleCredentialName((who.get("place").asText().substring(1) + "/" + name).split("/"));
    }

    /** Makes one and says what came of it. What it returned is returned, too: null, if it failed. */
    <T> T call(String name, Supplier<T> made) {
        statuses.clear();
        var outcome = new LinkedHashMap<String, Object>();
        outcome.put("by", by);
        outcome.put("call", name);
        T result = null;
        try {
            result = made.get();
        } catch (RuntimeException thrown) {
            outcome.put("error", Map.of("type", thrown.getClass().getSimpleName(), "text", words(thrown)));
        }
        outcome.put("statuses", statuses);
        outcome.put("result", shown(result));
        say(outcome);
        return result;
    }

    void call(String name, Runnable made) {
        this.<Object>call(name, () -> {
            made.run();
            return null;
        });
    }

    private static String words(RuntimeException thrown) {
        var text = String.valueOf(thrown.getMessage());
        return thrown instanceof HttpStatusCodeException refused ? text + " " + refused.getResponseBodyAsString() : text;
    }

    /** What of it the library understood. */
    private static Object shown(Object result) {
        if (result instanceof List<?> several) {
            return several.stream().map(Calls::shown).toList();
        }
        if (result instanceof CredentialName name) {
            return name.getName();
        }
        if (result instanceof CredentialDetails<?> one) {
            var shown = new LinkedHashMap<String, Object>();
            shown.put("id", one.getId());
            shown.put("name", one.getName().getName());
            shown.put("type", one.getCredentialType().getValueType());
            shown.put("version_created_at", one.getVersionCreatedAt());
            shown.put("value", one.getValue());
            if (one instanceof CertificateCredentialDetails certificate) {
                shown.put("transitional", certificate.isTransitional());
            }
            return shown;
        }
        return result;
    }

    private static void say(Object outcome) {
        try {
            System.out.println(JSON.writeValueAsString(outcome));
        } catch (IOException impossible) {
            throw new IllegalStateException(impossible);
        }
    }

    public static void main(String[] arguments) throws IOException {
        Logger.getLogger("").setLevel(Level.OFF);
        var plan = JSON.readTree(Files.readString(Path.of(arguments[0])));
        for (var by : List.of("token", "certificate")) {
            var calls = new Calls(plan, by);
            Data.all(calls);
            Certificates.all(calls);
            Permissions.all(calls);
            Data.remove(calls);
        }
        Data.restricted(new Calls(plan, "reader"));
        for (var by : List.of("no scope", "no identity", "expired certificate")) {
            Data.refused(new Calls(plan, by));
        }
    }
}
