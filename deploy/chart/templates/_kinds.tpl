{{/* The rows in force, as YAML: lastnode/kinds.py, as far as objects here go by it, and the values' own */}}
{{- define "lastnode.kinds" -}}
{{- $known := dict }}
{{- $rows := concat (include "lastnode.builtIn" . | fromYamlArray) .Values.kinds }}
{{- range $rows }}
{{- if hasKey $known .resource }}
{{- fail (printf "kinds: %s is there already" .resource) }}
{{- end }}
{{- $_ := set $known .resource . }}
{{- end }}
{{- range .Values.settings.workloadResources }}
{{- if not (hasKey $known .) }}
{{- fail (printf "settings.workloadResources: %s is neither built in nor a resource of kinds" .) }}
{{- end }}
{{- end }}
{{- range $rows }}
{{- if or (not $.Values.settings.workloadResources) (has .resource $.Values.settings.workloadResources) }}
{{ list . | toYaml }}
{{- end }}
{{- end }}
{{- end }}

{{- define "lastnode.builtIn" -}}
- resource: agentruntimes.runtime.agentcube.volcano.sh
  prefix: runtime.agentcube.io
  pods: runtime.agentcube.io/session-id
  through: sandboxes.agents.x-k8s.io
- resource: codeinterpreters.runtime.agentcube.volcano.sh
  prefix: runtime.agentcube.io
  pods: runtime.agentcube.io/session-id
  through: sandboxes.agents.x-k8s.io
- resource: sandboxes.agents.x-k8s.io
  pods: agents.x-k8s.io/sandbox-name-hash,!agents.x-k8s.io/warm-pool-sandbox
{{- end }}

{{/* Access to what sessions' pods lead to, with these verbs, and to what they lead through: (dict "root" . "verbs" list) */}}
{{- define "lastnode.workloadRules" -}}
{{- $workloads := list }}
{{- $between := list }}
{{- range include "lastnode.kinds" .root | fromYamlArray }}
{{- $workloads = append $workloads .resource }}
{{- $between = append $between (.through | default "") }}
{{- end }}
{{- range $workloads }}
{{- $between = without $between . }}
{{- end }}
{{- include "lastnode.rules" (dict "resources" (compact $between | uniq) "verbs" (.between | default (list "list" "watch"))) }}
{{- include "lastnode.rules" (dict "resources" $workloads "verbs" .verbs) }}
{{- end }}

{{/* What a selector (key, !key, key=value, key!=value, with commas) asks of labels, as matchExpressions */}}
{{- define "lastnode.matchExpressions" -}}
{{- range splitList "," . }}
{{- $negated := contains "!" . }}
- key: {{ regexFind "[^!=\\s]+" . | quote }}
  {{- if contains "=" . }}
  operator: {{ $negated | ternary "NotIn" "In" }}
  values: [{{ regexReplaceAll "^.*=" . "" | trim | quote }}]
  {{- else }}
  operator: {{ $negated | ternary "DoesNotExist" "Exists" }}
  {{- end }}
{{- end }}
{{- end }}

{{/* The same in CEL, for an object that has labels */}}
{{- define "lastnode.selects" -}}
{{- $all := list }}
{{- range include "lastnode.matchExpressions" . | fromYamlArray }}
{{- $holds := printf "%q in object.metadata.labels" .key }}
{{- if .values }}
{{- $holds = printf "%s && object.metadata.labels[%q] == %q" $holds .key (first .values) }}
{{- end }}
{{- $all = append $all (has .operator (list "Exists" "In") | ternary $holds (printf "!(%s)" $holds)) }}
{{- end }}
{{- join " && " $all }}
{{- end }}
