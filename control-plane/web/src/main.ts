import { mount } from 'svelte';
import App from './App.svelte';
import './app.css';
import { startNavigation } from './router/navigation.svelte';
import { session } from './api/session.svelte';

startNavigation();
void session.open();
mount(App, { target: document.getElementById('app')! });
