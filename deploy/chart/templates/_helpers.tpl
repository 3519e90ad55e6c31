{{/* Names */}}

{{- define "lastnode.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" }}
{{- end }}

{{/* 45: a Service's name may have 63 characters, and the longest of ours ends with -scheduler-metrics. */}}
{{- define "lastnode.fullname" -}}
{{- $name := include "lastnode.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 45 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 45 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 45 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* Name of a component's objects: (list root "recorder") */}}
{{- define "lastnode.component" -}}
{{- printf "%s-%s" (include "lastnode.fullname" (index . 0)) (index . 1) }}
{{- end }}

{{/* Name of a component's ServiceAccount: (list root "recorder") */}}
{{- define "lastnode.serviceAccount" -}}
{{- $values := index (index . 0).Values (index . 1) }}
{{- if $values.serviceAccount.name }}
{{- $values.serviceAccount.name }}
{{- else if $values.serviceAccount.create }}
{{- include "lastnode.component" . }}
{{- else }}
{{- "default" }}
{{- end }}
{{- end }}

{{/* Whose certificate the extender serves: given, certManager or helm; none: it serves plain HTTP, or there is no extender. */}}
{{- define "lastnode.certificate" -}}
{{- $tls := .Values.extender.tls }}
{{- if and $tls.secretName $tls.certManager.enabled }}
{{- fail "extender.tls.secretName and extender.tls.certManager.enabled exclude each other: who makes the certificate?" }}
{{- end }}
{{- if not (and .Values.extender.enabled $tls.enabled) }}
{{- "none" }}
{{- else if $tls.secretName }}
{{- "given" }}
{{- else }}
{{- $tls.certManager.enabled | ternary "certManager" "helm" }}
{{- end }}
{{- end }}

{{- define "lastnode.certificateSecret" -}}
{{- .Values.extender.tls.secretName | default (include "lastnode.component" (list . "certificate")) }}
{{- end }}

{{/* Names that the API server, the recorder, and whoever else calls the Service, may use; with commas. */}}
{{- define "lastnode.dnsNames" -}}
{{- $service := include "lastnode.component" (list . "extender") }}
{{- $names := list (printf "%s.%s.svc" $service .Release.Namespace) (printf "%s.%s" $service .Release.Namespace) (include "lastnode.podsName" (list . "extender")) }}
{{- join "," (concat $names .Values.extender.tls.extraDnsNames | uniq) }}
{{- end }}

{{/* http or https: (list root "extender"); kube-scheduler and its sidecar share a pod and speak plain HTTP. */}}
{{- define "lastnode.scheme" -}}
{{- and (eq (index . 1) "extender") (ne (include "lastnode.certificate" (index . 0)) "none") | ternary "https" "http" }}
{{- end }}

{{/* Components whose pods the recorder asks what they answered kube-scheduler; with commas. */}}
{{- define "lastnode.asked" -}}
{{- $asked := list }}
{{- if and .Values.recorder.enabled (eq .Values.recorder.settings.extenderUrl "auto") }}
{{- range list "extender" "scheduler" }}
{{- if (index $.Values .).enabled }}
{{- $asked = append $asked . }}
{{- end }}
{{- end }}
{{- end }}
{{- join "," $asked }}
{{- end }}

{{/* The name under which DNS knows each of a component's pods: (list root "extender") */}}
{{- define "lastnode.podsName" -}}
{{- printf "%s-pods.%s.svc" (include "lastnode.component" .) (index . 0).Release.Namespace }}
{{- end }}

{{/* Where an extender listens: (list root "extender"), or "scheduler" for the sidecar */}}
{{- define "lastnode.extenderPort" -}}
{{- $values := (index . 0).Values }}
{{- eq (index . 1) "scheduler" | ternary $values.scheduler.extenderPort $values.extender.port | int }}
{{- end }}

{{/* Metadata: (list root "recorder") */}}

{{- define "lastnode.selectorLabels" -}}
app.kubernetes.io/name: {{ include "lastnode.name" (index . 0) | quote }}
app.kubernetes.io/instance: {{ (index . 0).Release.Name | quote }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "lastnode.labels" -}}
{{- $root := index . 0 }}
{{- include "lastnode.selectorLabels" . }}
app.kubernetes.io/part-of: lastnode
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Maps as one, each key once, that of the first map that has it; empty where there is none. A key that is there twice
     is refused by Kustomize and Flux; what the chart relies on comes first. */}}
{{- define "lastnode.once" -}}
{{- $all := dict }}
{{- range $map := . }}
{{- range $key, $value := $map }}
{{- if not (hasKey $all $key) }}
{{- $_ := set $all $key $value }}
{{- end }}
{{- end }}
{{- end }}
{{- with $all }}
{{- toYaml . }}
{{- end }}
{{- end }}

{{/* Labels and annotations of an object: (list root "recorder" annotations), and further labels where there are any */}}
{{- define "lastnode.metadata" -}}
{{- $values := (index . 0).Values }}
labels:
  {{- $more := gt (len .) 3 | ternary (last .) dict }}
  {{- include "lastnode.once" (list (include "lastnode.labels" . | fromYaml) $more $values.commonLabels) | nindent 2 }}
{{- with include "lastnode.once" (list (index . 2) $values.commonAnnotations) }}
annotations:
  {{- . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Images */}}

{{/* (dict "image" .Values.image "tag" "what an empty tag means") */}}
{{- define "lastnode.image" -}}
{{- if .image.digest }}
{{- printf "%s@%s" .image.repository .image.digest }}
{{- else }}
{{- printf "%s:%s" .image.repository (default .tag .image.tag) }}
{{- end }}
{{- end }}

{{/* The cluster's version without what a provider appends to it. */}}
{{- define "lastnode.clusterVersion" -}}
{{- regexFind "^v[0-9]+\\.[0-9]+\\.[0-9]+" .Capabilities.KubeVersion.Version }}
{{- end }}

{{/* Access rules */}}

{{/* A rule for each API group of plural.group names: (dict "resources" list "verbs" list) */}}
{{- define "lastnode.rules" -}}
{{- $groups := dict }}
{{- range .resources }}
{{- $group := regexReplaceAll "^[^.]+\\." . "" }}
{{- $_ := set $groups $group (append (default list (index $groups $group)) (regexFind "^[^.]+" .)) }}
{{- end }}
{{- $verbs := .verbs }}
{{- range $group, $plurals := $groups }}
- apiGroups: [{{ $group }}]
  resources: [{{ join ", " (sortAlpha $plurals) }}]
  verbs: [{{ join ", " $verbs }}]
{{- end }}
{{- end }}

{{/* A map of settings as the --config file has them: memoryTtl is memory_ttl. null: not set. */}}
{{- define "lastnode.settings" -}}
{{- range $name, $value := . }}
{{- if not (kindIs "invalid" $value) }}
{{ snakecase $name }}: {{ toJson $value }}
{{- end }}
{{- end }}
{{- end }}

{{/* Pods */}}

{{/* What the pods of all components have: (list root "recorder") */}}
{{- define "lastnode.pod" -}}
{{- $root := index . 0 }}
{{- $values := index $root.Values (index . 1) }}
serviceAccountName: {{ include "lastnode.serviceAccount" . }}
# Variables of Services would only be in the way: no setting comes from them.
enableServiceLinks: false
terminationGracePeriodSeconds: {{ int $values.terminationGracePeriodSeconds }}
{{- with $root.Values.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if or $values.spread $values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- if $values.spread }}
  {{- $labels := include "lastnode.selectorLabels" . }}
  {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- $labels | nindent 8 }}
    # A rollout counts its own pods only; else the old ones decide where the new ones go.
    matchLabelKeys: [pod-template-hash]
  {{- end }}
  {{- end }}
  {{- with $values.topologySpreadConstraints }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- end }}

{{/* Labels and annotations of a pod; config: the ConfigMap's data, so that a change restarts the pods.
     (list root "recorder" config) */}}
{{- define "lastnode.podMetadata" -}}
{{- $root := index . 0 }}
{{- $values := index $root.Values (index . 1) }}
labels:
  {{- $own := printf "%s\napp.kubernetes.io/part-of: lastnode" (include "lastnode.selectorLabels" .) | fromYaml }}
  {{- include "lastnode.once" (list $own $values.podLabels $root.Values.commonLabels) | nindent 2 }}
annotations:
  {{- $checksum := dict "checksum/config" (index . 2 | sha256sum) }}
  {{- include "lastnode.once" (list $checksum $values.podAnnotations $root.Values.commonAnnotations) | nindent 2 }}
{{- end }}

{{/* A container with one of our programs.
     (dict "root" $ "program" "recorder" "port" 8889 "scheme" "http" "env" list "resources" map) */}}
{{- define "lastnode.container" -}}
name: {{ .program }}
image: {{ include "lastnode.image" (dict "image" .root.Values.image "tag" .root.Chart.AppVersion) }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
command: [lastnode-{{ .program }}]
args: [--config=/etc/lastnode/{{ .program }}.yaml]
{{- with .env }}
env:
  {{- toYaml . | nindent 2 }}
{{- end }}
ports:
  - name: {{ .scheme }}
    containerPort: {{ int .port }}
    protocol: TCP
startupProbe:
  {{- include "lastnode.probe" (merge (dict "path" "/livez") .) | nindent 2 }}
  periodSeconds: 2
  # Two minutes: on a busy node a Python program starts slowly.
  failureThreshold: 60
livenessProbe:
  {{- include "lastnode.probe" (merge (dict "path" "/livez") .) | nindent 2 }}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  {{- include "lastnode.probe" (merge (dict "path" "/readyz") .) | nindent 2 }}
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 3
{{- if eq .program "extender" }}
lifecycle:
  preStop:
    # Until nobody sends requests to this pod any more.
    sleep:
      seconds: 5
{{- end }}
resources:
  {{- toYaml .resources | nindent 2 }}
{{- with .root.Values.containerSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumeMounts:
  - name: config
    mountPath: /etc/lastnode
    readOnly: true
  {{- if eq .scheme "https" }}
  - name: certificate
    mountPath: /etc/lastnode-tls
    readOnly: true
  {{- end }}
  {{- if and (eq .program "recorder") .root.Values.recorder.sessionsToken.enabled }}
  - name: sessions-token
    mountPath: /etc/lastnode-sessions
    readOnly: true
  {{- end }}
  - name: tmp
    mountPath: /tmp
{{- end }}

{{- define "lastnode.probe" -}}
httpGet:
  path: {{ .path }}
  port: {{ .scheme }}
  scheme: {{ upper .scheme }}
{{- end }}

{{/* Whole objects that all components have: (list root "recorder") */}}

{{- define "lastnode.serviceAccountObject" -}}
{{- $root := index . 0 }}
{{- $values := index $root.Values (index . 1) }}
{{- if $values.serviceAccount.create }}
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ include "lastnode.serviceAccount" . }}
  namespace: {{ $root.Release.Namespace }}
  {{- include "lastnode.metadata" (append . $values.serviceAccount.annotations) | nindent 2 }}
{{- end }}
{{- end }}

{{- define "lastnode.disruptionBudget" -}}
{{- $root := index . 0 }}
{{- $values := index $root.Values (index . 1) }}
{{- if $values.podDisruptionBudget.enabled }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "lastnode.component" . }}
  namespace: {{ $root.Release.Namespace }}
  {{- include "lastnode.metadata" (append . dict) | nindent 2 }}
spec:
  maxUnavailable: {{ $values.podDisruptionBudget.maxUnavailable }}
  # A pod that is not ready helps nobody: it must not keep a node from being drained.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "lastnode.selectorLabels" . | nindent 6 }}
{{- end }}
{{- end }}

{{/* The Lease of a component: (list root "recorder") */}}
{{- define "lastnode.leaseRole" -}}
{{- $root := index . 0 }}
{{- $name := include "lastnode.component" . }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {{ $name }}
  namespace: {{ $root.Release.Namespace }}
  {{- include "lastnode.metadata" (append . dict) | nindent 2 }}
rules:
  - apiGroups: [coordination.k8s.io]
    resources: [leases]
    resourceNames: [{{ $name }}]
    verbs: [get, update]
  # RBAC cannot bind a create to a name: the name is not known when the request is authorized.
  - apiGroups: [coordination.k8s.io]
    resources: [leases]
    verbs: [create]
{{- include "lastnode.binding" (dict "root" $root "component" (index . 1) "kind" "RoleBinding" "role" "Role" "roleName" $name "name" $name) }}
{{- end }}

{{/* Binds a role to a component's ServiceAccount.
     (dict "root" $ "component" "recorder" "kind" "RoleBinding" "namespace" "" "name" "n" "role" "Role" "roleName" "r") */}}
{{- define "lastnode.binding" }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ .kind }}
metadata:
  name: {{ .name }}
  {{- if eq .kind "RoleBinding" }}
  namespace: {{ default .root.Release.Namespace .namespace }}
  {{- end }}
  {{- include "lastnode.metadata" (list .root .component dict) | nindent 2 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ .role }}
  name: {{ .roleName }}
subjects:
  - kind: ServiceAccount
    name: {{ include "lastnode.serviceAccount" (list .root .component) }}
    namespace: {{ .root.Release.Namespace }}
{{- end }}
