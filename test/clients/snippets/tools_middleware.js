async function checkAuth(req, res, next) {
const token = req.headers.authorization;
if (!token) return res.status(401).json({ error: 'No token' });
const resp = await fetch('https://auth.ops.withcaptainbook.com/api/validate', {
method: 'POST',
headers: { 'Authorization': token, 'Content-Type': 'application/json' },
body: JSON.stringify({ tool: 'my-tool-slug' })
});
const data = await resp.json();
if (!data.valid) return res.status(401).json({ error: 'Invalid token' });
if (!data.permission) return res.status(403).json({ error: 'No access' });
req.user = data.user;
req.permission = data.permission; // 'read', 'write', or 'admin'
next();
}
