#!/usr/bin/env bash
# Starts a node, uses what end-to-end tests rely on, and checks that nothing is left of it. Needs root; takes about half a minute.
set -euo pipefail
cd "$(dirname "$0")/../.."
bin=build/cluster
work=$(mktemp -d)
state=$work/node
cluster() { local command=$1; shift; $bin/cluster "$command" --state "$state" "$@"; }
kubectl() { cluster exec -- kubectl "$@"; }
say() { printf '%s %s\n' "$(date +%T)" "$*"; }
timed() { local began=$(date +%s%N); "$@"; say "$1 $2 took $((($(date +%s%N) - began) / 1000000)) ms"; }
fail() { echo "FAILED: $*" >&2; exit 1; }
trap 'cluster down; rm -rf "$work"' EXIT

# What a cluster could leave on the machine, apart from its state.
host() {
	cat /proc/mounts
	ip -o link | cut -d: -f2
	ip route
	iptables-save | grep -v '^[#:]' || true
	find /sys/fs/cgroup -type d | sort
	ls -A /run /run/netns /run/containerd /var/lib /var/lib/cni /var/lib/kubelet /var/log /var/log/pods /var/log/containers /opt /usr/libexec 2>&1 || true
	sysctl -a 2>/dev/null | grep -E '^(vm.(overcommit_memory|panic_on_oom)|kernel.(panic|keys.)|net.ipv4.(ip_forward|conf.all)|net.bridge)'
}
host >"$work/before"

timed cluster up
if cluster up 2>/dev/null; then fail "a second 'up' succeeded"; fi
node=$(cluster status | awk '$NF == "cluster" {print $1}')
namespaces=$(readlink "/proc/$node/ns/"{net,mnt,pid_for_children})
[ "$(kubectl get node node1 -o jsonpath='{.status.nodeInfo.kubeletVersion}')" = "$(kubectl version --client -o json | grep -oP '"gitVersion": "\K[^"]+')" ]

say "a Service, and a Job that uses it"
kubectl apply -f - <<'YAML'
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: web
    image: localhost/busybox:1
    command: [sh, -c, "echo from the web > /tmp/index.html; httpd -p 8080 -h /tmp; echo serving; exec sleep 1000"]
    readinessProbe: {httpGet: {port: 8080, path: /}, periodSeconds: 1}
    volumeMounts: [{name: token, mountPath: /token}]
  volumes:
  - name: token
    projected: {sources: [{serviceAccountToken: {audience: smoke, path: token}}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
YAML
kubectl wait --for=condition=Ready pod/web --timeout=60s
kubectl apply -f - <<'YAML'
apiVersion: batch/v1
kind: Job
metadata: {name: smoke}
spec:
  completions: 4
  parallelism: 4
  completionMode: Indexed
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers:
      - name: smoke
        image: localhost/busybox:1
        command: [sh, -ec, "nslookup kubernetes.default.svc.cluster.local; echo | nc -w 5 kubernetes.default.svc 443; wget -qO- http://web; echo index $JOB_COMPLETION_INDEX"]
YAML
kubectl wait --for=condition=Complete job/smoke --timeout=60s
for index in 0 1 2 3; do
	logs=$(kubectl logs -l "batch.kubernetes.io/job-completion-index=$index")
	for line in 10.96.0.1 "from the web" "index $index"; do grep -q "$line" <<<"$logs" || fail "Pod $index logged: $logs"; done
done

say "the node itself reaches a Service"
service=$(kubectl get service web -o jsonpath='{.spec.clusterIP}')
[ "$(cluster exec -- busybox wget -qO- "http://$service")" = "from the web" ] || fail "the node does not reach $service"

say "logs, exec, and the review of a projected token"
[ "$(kubectl logs web)" = serving ] || fail "logs"
[ "$(kubectl exec web -- cat /tmp/index.html)" = "from the web" ] || fail "exec"
review=$(kubectl create -o yaml -f - <<YAML
apiVersion: authentication.k8s.io/v1
kind: TokenReview
spec: {audiences: [smoke], token: $(kubectl exec web -- cat /token/token)}
YAML
)
grep -q 'authenticated: true' <<<"$review" && grep -q 'username: system:serviceaccount:default:default' <<<"$review" || fail "$review"
writes=$(grep -E '"verb":"(create|update|patch|delete)"' "$state/log/audit.log" | grep -c '"userAgent":"kube-controller-manager')
say "the audit log counts $writes writes of the controller manager"

if command -v buildah >/dev/null; then
	say "images of buildah"
	mkdir "$work/context"
	cp "$(command -v busybox)" "$work/context/busybox"
	printf 'FROM scratch\nCOPY busybox /busybox\nENTRYPOINT ["/busybox", "echo"]\nCMD ["from the image"]\n' >"$work/context/Containerfile"
	image=localhost/backfill/operator:dev
	store=(--root "$work/buildah" --runroot "$work/buildah-run" --storage-driver vfs)
	buildah "${store[@]}" build --quiet --isolation chroot -t "$image" "$work/context" >/dev/null
	for format in oci docker; do
		buildah "${store[@]}" push --quiet "$image" "$format-archive:$work/$format.tar:$image"
		cluster load "$work/$format.tar"
	done
	for policy in IfNotPresent Never; do
		name=image-${policy,,}
		kubectl run "$name" --image=$image --image-pull-policy=$policy --restart=Never
		kubectl wait --for=jsonpath='{.status.phase}'=Succeeded "pod/$name" --timeout=30s
		[ "$(kubectl logs "$name")" = "from the image" ] || fail "the image did not run"
	done
fi

say "a component that is killed comes back, and Pods do not notice"
for component in kube-apiserver containerd kubelet; do
	kill -9 "$(cluster status | awk -v name=$component '$NF == name {print $1}')"
done
for attempt in {1..60}; do
	sleep 0.5
	if [ "$(kubectl exec web -- hostname 2>/dev/null)" = web ]; then break; fi
	[ "$attempt" -lt 60 ] || fail "the node did not recover"
done
[ "$(kubectl get pod web -o jsonpath='{.status.containerStatuses[0].restartCount}')" = 0 ] || fail "the Pod was restarted"

cluster status
timed cluster down
[ ! -e "$state" ] || fail "the state is left: $(ls -A "$state")"
for namespace in $namespaces; do
	if readlink /proc/[0-9]*/ns/{net,mnt,pid} 2>/dev/null | grep -qF "$namespace"; then fail "a process is left in $namespace"; fi
done
host | diff "$work/before" - || fail "the machine has changed"

say "two control planes side by side, without root"
as_nobody=(env -u HOME setpriv --reuid=65534 --regid=65534 --clear-groups)
mkdir -m 777 "$work/nobody"
chmod 755 "$work"
cp -L $bin/cluster $bin/kubectl "$work"
for name in a b; do
	"${as_nobody[@]}" "$work/cluster" up --control-plane-only --state "$work/nobody/$name" &
done
wait
for name in a b; do
	"${as_nobody[@]}" "$work/cluster" exec --state "$work/nobody/$name" -- kubectl create deployment "$name" --image=any
	"${as_nobody[@]}" "$work/cluster" exec --state "$work/nobody/$name" -- kubectl wait --for=create pod -l "app=$name" --timeout=20s
	"${as_nobody[@]}" "$work/cluster" status --state "$work/nobody/$name" | tail -1
	"${as_nobody[@]}" "$work/cluster" down --state "$work/nobody/$name"
done
[ -z "$(ls -A "$work/nobody")" ] || fail "the state is left"
say "passed"
