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

{{/* The variables of one service alone. Given (list context service). */}}
{{- define "nodkey.environment" -}}
{{- $root := index . 0 }}
{{- $values := get $root.Values (index . 1) }}
{{- if eq (index . 1) "gateway" }}
{{- $proxied := or $root.Values.gatewayApi.enabled $root.Values.ingress.enabled }}
{{- with $values.addressHeader | default (ternary "x-forwarded-for" "" $proxied) }}
- { name: NODKEY_SERVICE__ADDRESS_HEADER, value: {{ . | quote }} }
- { name: NODKEY_SERVICE__TRUSTED_HOPS, value: {{ $values.trustedHops | quote }} }
{{- end }}
{{- if $values.tlsSecretName }}
- { name: NODKEY_SERVER__TLS__CERTIFICATE, value: /etc/nodkey/tls/tls.crt }
- { name: NODKEY_SERVER__TLS__KEY, value: /etc/nodkey/tls/tls.key }
{{- end }}
{{- else }}
- { name: NODKEY_DB__URL_FILE, value: /etc/nodkey/database/url }
{{- end }}
{{- range $setting, $value := $values.settings }}
- { name: {{ include "nodkey.variable" $setting }}, value: {{ $value | toString | quote }} }
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
