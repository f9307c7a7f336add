"""What the API server of Kubernetes asks of a Deployment (apps/v1), as far as the recipe makes use of it: rules that
find what is wrong, as sentences. The recipe is checked without a cluster."""
import re

LABEL = re.compile(r'[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?')  # names of objects' parts: RFC 1123
VARIABLE = re.compile(r'[-._a-zA-Z][-._a-zA-Z0-9]*')
QUANTITY = re.compile(r'[+-]?(\d+(\.\d*)?|\.\d+)(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE]|[eE][+-]?\d+)?')
CONTAINER = {'name', 'image', 'command', 'args', 'env', 'resources', 'volumeMounts', 'securityContext',
             'imagePullPolicy', 'ports', 'workingDir'}
POD = {'initContainers', 'containers', 'volumes', 'securityContext', 'restartPolicy', 'terminationGracePeriodSeconds'}
TYPES = {'emptyDir', 'hostPath', 'configMap', 'secret', 'persistentVolumeClaim', 'image'}


def unknown(what, mapping, known):
    yield from (f'{what} has no field {key}' for key in mapping if key not in known)


def twice(what, values):
    yield from (f'{what} {value} is there twice' for value in sorted({v for v in values if values.count(v) > 1}))


def of_container(one, volumes):
    name = f'container {one.get("name")}'
    yield from unknown(name, one, CONTAINER)
    if not isinstance(one.get('name'), str) or not LABEL.fullmatch(one['name']):
        yield f'{name}: the name is none'
    if not isinstance(one.get('image'), str) or not one['image']:
        yield f'{name}: no image'
    for variable in one.get('env', []):
        yield from unknown(f'{name}, env', variable, {'name', 'value'})
        if not VARIABLE.fullmatch(str(variable.get('name', ''))):
            yield f'{name}: a variable without a proper name'
        if not isinstance(variable.get('value', ''), str):
            yield f'{name}: the value of {variable.get("name")} is no string, but {variable["value"]!r}'
    yield from twice(f'{name}: the variable', [variable.get('name') for variable in one.get('env', [])])
    mounts = one.get('volumeMounts', [])
    for mount in mounts:
        yield from unknown(f'{name}, volumeMounts', mount, {'name', 'mountPath', 'readOnly', 'subPath'})
        if mount.get('name') not in volumes:
            yield f'{name}: mounts {mount.get("name")}, which is no volume'
        if not isinstance(mount.get('mountPath'), str) or ':' in mount['mountPath'] or mount['mountPath'][:1] != '/':
            yield f'{name}: the path of {mount.get("name")} is none'
        if not isinstance(mount.get('readOnly', False), bool):
            yield f'{name}: readOnly is neither true nor false'
    yield from twice(f'{name}: the path', [mount.get('mountPath') for mount in mounts])
    for kind, amounts in one.get('resources', {}).items():
        if kind not in ('limits', 'requests'):
            yield f'{name}: resources have no {kind}'
            continue
        for resource, amount in amounts.items():
            if isinstance(amount, bool) or not QUANTITY.fullmatch(str(amount)):
                yield f'{name}: {resource} is limited to {amount!r}, which is no quantity'


def of_pod(pod):
    yield from unknown('the pod', pod, POD)
    volumes = [volume.get('name') for volume in pod.get('volumes', [])]
    yield from twice('the volume', volumes)
    for volume in pod.get('volumes', []):
        if not LABEL.fullmatch(str(volume.get('name', ''))):
            yield 'a volume without a proper name'
        if len(volume.keys() & TYPES) != 1 or len(volume) != 2:
            yield f'the volume {volume.get("name")} is not of one type: {volume}'
    if not pod.get('containers'):
        yield 'the pod has no container'
    everyone = pod.get('initContainers', []) + pod.get('containers', [])
    yield from twice('the container', [one.get('name') for one in everyone])
    for one in everyone:
        yield from of_container(one, volumes)


def faults(deployment):
    """All that the API would refuse, or that could never run."""
    yield from unknown('the deployment', deployment, {'apiVersion', 'kind', 'metadata', 'spec'})
    if (deployment.get('apiVersion'), deployment.get('kind')) != ('apps/v1', 'Deployment'):
        yield f'it is no Deployment of apps/v1: {deployment.get("apiVersion")}, {deployment.get("kind")}'
    if not LABEL.fullmatch(str(deployment.get('metadata', {}).get('name', ''))):
        yield 'the deployment has no proper name'
    spec = deployment.get('spec', {})
    yield from unknown('its spec', spec, {'replicas', 'selector', 'template', 'strategy', 'minReadySeconds'})
    if not isinstance(spec.get('replicas', 1), int) or isinstance(spec.get('replicas'), bool):
        yield 'replicas is no number'
    wanted = spec.get('selector', {}).get('matchLabels', {})
    labels = spec.get('template', {}).get('metadata', {}).get('labels', {})
    if not wanted or not wanted.items() <= labels.items():
        yield f'the selector {wanted} does not match the labels {labels} of the template'
    if not all(isinstance(value, str) for value in [*wanted.values(), *labels.values()]):
        yield 'a label is no string'
    yield from of_pod(spec.get('template', {}).get('spec', {}))
