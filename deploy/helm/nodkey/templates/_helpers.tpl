{{/* The five services, in the order in which they are replaced. */}}
{{- define "nodkey.services" -}}
registry binding trusonafication notification gateway
{{- end }}

{{/* Those that have a database. */}}
{{- define "nodkey.stateful" -}}
registry binding trusonafication notification
{{- end }}

{{/* Who calls a service over gRPC, as tests/golden/access.txt says; the gateway forwards the calls of others to all. Given a service's name. */}}
{{- define "nodkey.callers" -}}
{{- get (dict
  "registry" "registry binding trusonafication notification gateway"
  "binding" "registry trusonafication gateway"
  "trusonafication" "registry notification gateway"
  "notification" "gateway"
  "gateway" "") . -}}
{{- end }}

{{- define "nodkey.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 36 | trimSuffix "-" -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 36 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 36 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{/* Labels that select the pods of one component. Given (list context component). */}}
{{- define "nodkey.selector" -}}
app.kubernetes.io/name: {{ (index . 0).Chart.Name }}
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* All labels of an object of one component. Given (list context component). */}}
{{- define "nodkey.labels" -}}
{{ include "nodkey.selector" . }}
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
helm.sh/chart: {{ (index . 0).Chart.Name }}-{{ (index . 0).Chart.Version }}
{{- end }}

{{/* The image of a service. Given (list context service). */}}
{{- define "nodkey.image" -}}
{{- $context := index . 0 -}}
{{- with $context.Values.image -}}
{{ .repository }}-{{ index $ 1 }}:{{ .tag | default $context.Chart.AppVersion }}
{{- end -}}
{{- with (get $context.Values (index . 1)).digest }}@{{ . }}{{ end -}}
{{- end }}

{{/* The host of publicUrl, without a port. */}}
{{- define "nodkey.host" -}}
{{- (urlParse .Values.publicUrl).hostname -}}
{{- end }}

{{/* The variable that sets a setting: db.url is NODKEY_DB__URL. */}}
{{- define "nodkey.variable" -}}
NODKEY_{{ . | replace "." "__" | upper }}
{{- end }}

{{/* The Secret with the keys of a service. Given (list context service). */}}
{{- define "nodkey.secret" -}}
{{- (get (index . 0).Values (index . 1)).secret | default (printf "%s-%s" (include "nodkey.fullname" (index . 0)) (index . 1)) -}}
{{- end }}

{{/* The Secret with the URL of a service's database. Given (list context service). */}}
{{- define "nodkey.databaseSecret" -}}
{{- (get (index . 0).Values (index . 1)).database.secret | default (printf "%s-%s-database" (include "nodkey.fullname" (index . 0)) (index . 1)) -}}
{{- end }}

{{/* The Secret with the certificate of the host. */}}
{{- define "nodkey.certificateSecret" -}}
{{- .Values.certificate.secretName | default (printf "%s-tls" (include "nodkey.fullname" .)) -}}
{{- end }}

{{/* The URL of NATS. */}}
{{- define "nodkey.busUrl" -}}
{{- if .Values.trial.enabled -}}
nats://{{ include "nodkey.fullname" . }}-nats:4222
{{- else -}}
{{ .Values.bus.url }}
{{- end -}}
{{- end }}

{{/* The port in a URL, or another if there is none. Given (list url default). */}}
{{- define "nodkey.port" -}}
{{- $port := regexFind ":[0-9]+$" (urlParse (index . 0)).host -}}
{{- $port | trimPrefix ":" | default (index . 1) -}}
{{- end }}

{{/* The variables of a service, by name. Given (list context service). */}}
{{- define "nodkey.environment" -}}
{{- $root := index . 0 }}
{{- $service := index . 1 }}
{{- $values := get $root.Values $service }}
NODKEY_CONFIG: /etc/nodkey/keys/keys.toml
NODKEY_LOG: {{ $root.Values.log | quote }}
NODKEY_DEPLOYMENT__PUBLIC_URL: {{ $root.Values.publicUrl | quote }}
NODKEY_BUS__URL: {{ include "nodkey.busUrl" $root | quote }}
NODKEY_BUS__REPLICAS: {{ $root.Values.bus.replicas | quote }}
NODKEY_SERVER__LISTEN: 0.0.0.0:7070
# Also health, which probes read here whether or not 7070 speaks TLS.
NODKEY_SERVER__METRICS_LISTEN: 0.0.0.0:9090
NODKEY_SERVER__DRAIN_SECONDS: {{ $root.Values.drainSeconds | quote }}
# Headless Services: each replica is an address of the name.
{{- range splitList " " (include "nodkey.stateful" $root) }}
NODKEY_PEERS__{{ upper . }}: http://{{ include "nodkey.fullname" $root }}-{{ . }}:7070
{{- end }}
{{- if eq $service "gateway" }}
{{- $proxied := or $root.Values.gatewayApi.enabled $root.Values.ingress.enabled }}
{{- with $values.addressHeader | default (ternary "x-forwarded-for" "" $proxied) }}
NODKEY_SERVICE__ADDRESS_HEADER: {{ . | quote }}
NODKEY_SERVICE__TRUSTED_HOPS: {{ $values.trustedHops | quote }}
{{- end }}
{{- if $values.tlsSecretName }}
NODKEY_SERVER__TLS__CERTIFICATE: /etc/nodkey/tls/tls.crt
NODKEY_SERVER__TLS__KEY: /etc/nodkey/tls/tls.key
{{- end }}
{{- else }}
NODKEY_DB__URL_FILE: /etc/nodkey/database/url
{{- end }}
{{- with $root.Values.telemetry }}
{{- if .endpoint }}
OTEL_EXPORTER_OTLP_ENDPOINT: {{ .endpoint | quote }}
{{- range $signal := list "traces" "metrics" "logs" }}
OTEL_{{ upper $signal }}_EXPORTER: {{ ternary "otlp" "none" (has $signal $root.Values.telemetry.signals) }}
{{- end }}
OTEL_TRACES_SAMPLER: parentbased_traceidratio
OTEL_TRACES_SAMPLER_ARG: {{ .ratio | quote }}
{{- end }}
{{- end }}
{{- range $setting, $value := merge (deepCopy $values.settings) $root.Values.settings }}
{{ include "nodkey.variable" $setting }}: {{ kindIs "string" $value | ternary $value (toJson $value) | quote }}
{{- end }}
{{- end }}

{{/* What every container may do: nothing but run. */}}
{{- define "nodkey.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{/* Given the user's number. */}}
{{- define "nodkey.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{/* The gRPC services that the gateway serves, and health: each is a path of its own. Whoever matches by prefix matches whole elements of a path. */}}
{{- define "nodkey.grpcServices" -}}
grpc.health.v1.Health
nodkey.binding.v1.BindingService
nodkey.binding.v1.IdentifierService
nodkey.binding.v1.ImportService
nodkey.binding.v1.UserService
nodkey.notification.v1.DeliveryService
nodkey.notification.v1.EndpointService
nodkey.notification.v1.PushConfigurationService
nodkey.notification.v1.PushRegistrationService
nodkey.registry.v1.AppLinkService
nodkey.registry.v1.AuditService
nodkey.registry.v1.ConfirmationService
nodkey.registry.v1.CredentialService
nodkey.registry.v1.DeviceService
nodkey.registry.v1.IdentityDocumentService
nodkey.registry.v1.OperatorService
nodkey.registry.v1.OperatorSessionService
nodkey.registry.v1.RelyingPartyService
nodkey.registry.v1.RetentionService
nodkey.registry.v1.SigningKeyService
nodkey.status.v1.StatusService
nodkey.status.v1.VaultService
nodkey.trusonafication.v1.PromptService
nodkey.trusonafication.v1.SigningKeyService
nodkey.trusonafication.v1.TruCodeService
nodkey.trusonafication.v1.TrusonaficationService
{{- end }}
